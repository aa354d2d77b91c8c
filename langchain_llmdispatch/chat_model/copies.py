"""Copies of a model: what they share with it, and what a pickle of it leaves out."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from pydantic import ValidationError

from langchain_llmdispatch.chat_model import late
from langchain_llmdispatch.chat_model.part import ModelPart
from langchain_llmdispatch.config.environment import environment
from langchain_llmdispatch.config.redis import VARIABLE
from langchain_llmdispatch.deployments.deployment import Deployment, VendorConfig, without_secrets
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.internal.forks import renew_properties
from langchain_llmdispatch.settings import explain_validation, without_variables
from langchain_llmdispatch.vendors.word_secrets import WordDict, placed_secrets, without_credentials

if TYPE_CHECKING:
    from langchain_llmdispatch.chat_model.shared_state import SharedState

logger = logging.getLogger(__name__)
_LEFT_OUT = ("api_key", "headers", "query", "http_client", "http_async_client")
_WORDS = ("model_kwargs", "vendor_params")
_OF_MODEL = ("api_key", "default_headers", "default_query")


class CopiedFields(ModelPart):
    """The fields of a model, as copies and pickles of it have them.

    Copies that LangChain makes for a run (`configurable_fields`), `copy`, `deepcopy` and `model_copy` share
    the model's limits, health, statistics and connections; changed fields act on the copy alone. Copies that
    one process reads from pickles share likewise.

    A pickle holds no keys, headers, clients or `env`: keys come from the environment of the process that
    reads it, and that process has limits, health, statistics and connections of its own.
    """

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        renew_properties(cls)  # LangChain's, too

    @without_variables
    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:  # noqa: ARG002 - pydantic's signature
        """Return the model with some fields changed; it shares limits, health, statistics and connections."""
        fields = {name: getattr(self, name) for name in self.model_fields_set if name != "profile"}
        shared = {"clock": self.clock, "rng": self.rng, "shared_state": self.shared_state}
        return type(self)(**{**fields, **shared, **(update or {})})

    def __copy__(self) -> Self:
        """Copy the fields; see `model_copy`."""
        return self.model_copy()

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Copy the fields: clients and locks have no deep copy; see `model_copy`."""
        return self.model_copy()

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the configuration without secrets: keys come from the environment again."""
        state = super().__getstate__()
        fields = state["__dict__"]
        redis = None if self.shared_state is None or fields["redis"] is not None else self.shared_state.redis
        return {
            **state,
            "__pydantic_private__": None,
            "__dict__": _without_secrets(fields),
            "left_out": tuple(left_out_of({**fields, "redis": redis or fields["redis"]})),
            "without_key": tuple(self._without_key()),
            "token": None if self.shared_state is None else self.shared_state.token,
            # Where the environment makes it share, for readers that have no such variable.
            "redis": redis and redis.bare(),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Unpickle, and assemble anew.

        Raises:
            ConfigurationError: Something is missing that the pickle left out; the message names it.
        """
        super().__setstate__(state)
        fields = {k: v for k, v in state["__dict__"].items() if k in self.model_fields_set}
        token, left_out = state.get("token"), state.get("left_out", ())
        if fields.get("redis") is None and state.get("redis") and not environment().get(VARIABLE):
            fields["redis"] = state["redis"]
        states = late.shared_state.STATES
        with states.lock:
            held = None if token is None else states.get(token)
            fields = fields if held is None else _shared(held, fields)
            try:
                super().__init__(**fields)
            except ValueError as error:
                if not left_out:
                    raise
                raise ConfigurationError(f"{_reason(error)} {_note(left_out)}") from None
            if token is not None and self.shared_state is not None:
                states.keep(token, self.shared_state)
        lost = [
            reason for name, reason in self._without_key().items() if name not in state.get("without_key", ())
        ]
        if lost and held is None:  # it was a deployment where the pickle was made
            raise ConfigurationError(f"{lost[0]} {_note(left_out)}")
        if left_out and held is None:
            logger.warning("a model was unpickled: %s", _note(left_out))

    def _without_key(self) -> dict[str, str]:
        """Return the deployments that are left out since they lack a key, with reasons."""
        missing = () if self.shared_state is None else self.shared_state.registry_of(self).left_out.values()
        return dict(each for some in missing for each in some)


def _shared(held: SharedState, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a pickle with the objects of a model that this process has already."""
    own = {
        name: getattr(held, name) for name in ("limiter", "health", "budget") if fields.get(name) is not None
    }
    return {**fields, **own, "clock": held.clock, "shared_state": held}


def _reason(error: ValueError) -> str:
    return explain_validation(error) if isinstance(error, ValidationError) else str(error)


def _note(left_out: tuple[str, ...]) -> str:
    return (
        "A pickle holds no keys, headers, clients or env; keys come from the environment of the process that "
        f"reads it. This one left out: {', '.join(left_out)}."
    )


def left_out_of(fields: Mapping[str, Any], *, with_key: bool = True) -> Iterator[str]:
    """Yield what a pickle of these fields leaves out, by name; `with_key`: the model's own `api_key`, too."""
    names = (*_OF_MODEL, "env") if with_key else (*_OF_MODEL[1:], "env")
    yield from (name for name in names if fields[name] is not None)
    if fields["redis"] and fields["redis"].holds_password:
        yield "the password of redis"
    yield from (place for name in _WORDS for place, _ in placed_secrets(fields[name], where=name))
    routes = (each for route in fields["routes"].values() for each in route)
    for each in (fields["model"], *fields["models"], *routes):
        if isinstance(each, Deployment):
            label = repr(each.name or each.model)
            yield from (f"{name} of {label}" for name in _held(each))
            yield from (f"{place} of {label}" for place, _ in placed_secrets(each.params, where="params"))
    for vendor, config in fields["vendors"].items():
        yield from (f"{name} of vendors[{vendor!r}]" for name in _held(config))


def _held(configured: Deployment | VendorConfig) -> list[str]:
    return [name for name in _LEFT_OUT if getattr(configured, name, None)]


def _without_secrets(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model's fields as they may be pickled: no keys, headers, clients or environment."""
    bare, model = without_secrets, fields["model"]
    return {
        **fields,
        **dict.fromkeys(_OF_MODEL),
        **words_as_pickled(fields),
        "env": None,
        "shared_state": None,
        "model": bare(model) if isinstance(model, Deployment) else model,
        "models": tuple(map(bare, fields["models"])),
        "routes": {alias: tuple(map(bare, each)) for alias, each in fields["routes"].items()},
        "vendors": {name: bare(config) for name, config in fields["vendors"].items()},
    }


def words_as_pickled(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model's words, and its `redis`, without those that hold credentials."""
    scoped = {vendor: without_credentials(words) for vendor, words in fields["vendor_params"].items()}
    return {
        "redis": fields["redis"].bare() if fields["redis"] else fields["redis"],
        "model_kwargs": WordDict(without_credentials(fields["model_kwargs"])),
        "vendor_params": WordDict(scoped),
    }
