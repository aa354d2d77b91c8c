"""A model as JSON: `langchain_core.load.dumps(model)` writes its configuration, `loads` makes it again.

    from langchain_core.load import dumps, loads

    text = dumps(model)
    model = loads(text, allowed_objects=[DispatcherChatModel], valid_namespaces=["langchain_llmdispatch"])

As a pickle, the text holds no keys, headers, clients or `env`: keys come from the environment of the process
that loads it (or, for `api_key`, from `secrets_map`), and a warning there names what was left out. What has
no form in JSON (a function, a vendor of your own, a shared `limiter`, `health` or `budget`, a clock) stands
in it as "not implemented": `loads` raises `NotImplementedError` with its name, and with
`ignore_unserializable_fields=True` the field has its default. LangChain's tracers show the same text.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.load.serializable import Serializable
from pydantic import BaseModel, SecretStr

from langchain_llmdispatch import errors
from langchain_llmdispatch.chat_model.copies import CopiedFields, left_out_of, words_as_pickled
from langchain_llmdispatch.chat_model.managed import LEFT_OUT
from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.deployments.deployment import Deployment, VendorConfig, without_secrets
from langchain_llmdispatch.internal.forks import OwnRandom
from langchain_llmdispatch.vendors.redaction import proxy_passwords
from langchain_llmdispatch.vendors.word_secrets import placed_secrets, without_credentials

# Never written: LangChain's own fields that it excludes, too, and what is not configuration.
_OBJECTS = ("custom_vendors", "limiter", "health", "budget", "clock", "rng")
# Words of requests, which may hold credentials.
_WORDS = frozenset({"params", "model_kwargs", "vendor_params"})
# Given, but left out by LangChain, or because they may hold credentials.
_EXCLUDED = (
    *("cache", "callbacks", "custom_get_token_ids", "rate_limiter"),
    *("default_headers", "default_query"),
)
_PLAIN = (str, int, float, bool, type(None))


class SerializedFields(CopiedFields):
    """The fields of a model, as LangChain writes and loads them."""

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Return True: `dumps` writes the configuration."""
        return True

    @classmethod
    def get_lc_namespace(cls) -> list[str]:
        """Return where `loads` finds the class: the package, whose modules may move."""
        package, _, rest = cls.__module__.partition(".")
        return [package] if package == __name__.partition(".")[0] else [package, *rest.split(".")]

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The variable that stands for `api_key`, by the vendor of `model`."""
        if self.shared_state is None or not isinstance(self.api_key, SecretStr):
            return {}
        first = self.shared_state.registry_of(self).default[0]
        return {"api_key": next(iter(first.vendor.environment.keys), "LLMDISPATCH_API_KEY")}

    def to_json(self) -> Any:
        """Return the configuration as LangChain's constructor: fields that were given, and no keys."""
        fields = [(name, value) for name, value in _fields(self) if not isinstance(value, SecretStr)]
        kwargs = {name: _json(value, name) for name, value in fields}
        for name, variable in self.lc_secrets.items():
            kwargs[name] = {"lc": 1, "type": "secret", "id": [variable]}
        places = [place for name, value in fields for place in _secret_places(value, name)]
        excluded = [name for name in _EXCLUDED if getattr(self, name, None)]
        kwargs[LEFT_OUT] = [*left_out_of(self.__dict__, with_key=False), *places, *excluded]
        return {
            "lc": 1,
            "type": "constructor",
            "id": self.lc_id(),
            "kwargs": kwargs,
        }


class NotSerialized:
    """Stands for a value without a form in JSON; LangChain writes it as "not implemented".

    Args:
        where: The field.
        value: The value; only its class or its name as a function is shown.
    """

    def __init__(self, where: str, value: Any) -> None:
        kind = value if hasattr(value, "__qualname__") else type(value)
        self.__module__, self.__name__ = str(kind.__module__), str(kind.__qualname__)
        self._where = where

    def __repr__(self) -> str:
        return (
            f"{self._where}: {self.__module__}.{self.__name__} has no form in JSON; load with "
            f"ignore_unserializable_fields=True, and give it to model.model_copy(update={{...}})"
        )


class BareModel(Serializable):
    """A model of another package, written without headers and other words that hold credentials.

    Attributes:
        model: The model.
    """

    model: Any

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The variables that stand for the model's keys."""
        own: dict[str, str] = self.model.lc_secrets
        fields = type(self.model).model_fields
        aliases = {name: fields[name].alias for name in own if name in fields}
        return own | {alias: own[name] for name, alias in aliases.items() if alias is not None}

    def to_json(self) -> Any:
        """Return the model's constructor, as it writes it, less what `left_out` names."""
        written = self.model.to_json()
        if "kwargs" not in written:
            return written
        left_out, secrets = self.left_out(), self.lc_secrets
        kwargs = {
            name: without_credentials(value) if isinstance(value, Mapping) and name not in secrets else value
            for name, value in written["kwargs"].items()
            if name not in left_out
        }
        return {**written, "kwargs": kwargs}

    def left_out(self) -> list[str]:
        """Return the fields that are not written since all that they hold may be credentials."""
        fields = {name: getattr(self.model, name, None) for name in type(self.model).model_fields}
        return [name for name, value in fields.items() if value and _is_secret_field(name, value)]


def _is_secret_field(name: str, value: Any) -> bool:
    if isinstance(value, Mapping):
        return "headers" in name or name in {"default_query", "extra_query"}
    return "proxy" in name and isinstance(value, str) and bool(proxy_passwords(value))


def _fields(model: CopiedFields) -> Iterator[tuple[str, Any]]:
    """Yield the fields that were given, those that share or count only where they are not the default."""
    fields, bare = type(model).model_fields, words_as_pickled(model.__dict__)
    for name in sorted(model.model_fields_set):
        value = bare.get(name, getattr(model, name))
        if name in _OBJECTS:
            if value not in (None, ()) and type(value) not in (Clock, OwnRandom, random.Random):
                yield name, NotSerialized(name, value)
        elif not fields[name].exclude:
            yield name, value


def _json(value: Any, where: str) -> Any:
    """Return a value as JSON has it; LangChain models and `NotSerialized` are left to LangChain."""
    if isinstance(value, BaseChatModel):
        return BareModel(model=value) if value.is_lc_serializable() else NotSerialized(where, value)
    if isinstance(value, (*_PLAIN, NotSerialized)):
        return value
    if isinstance(value, BaseModel):
        return _settings(value, where)
    if isinstance(value, Mapping):
        if where.rpartition(".")[2] in _WORDS:
            value = without_credentials(value)
        return {str(name): _json(each, f"{where}.{name}") for name, each in value.items()}
    if isinstance(value, AbstractSet):
        return sorted(_json(each, where) for each in value)
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [_json(each, where) for each in value]
    name = value.__name__ if isinstance(value, type) else ""
    if name and vars(errors).get(name) is value:
        return name
    return NotSerialized(where, value)


def _settings(value: BaseModel, where: str) -> Any:
    """Return the fields of a nested object that were given; of a deployment with a model alone, the model."""
    given = value.model_fields_set
    keeps = isinstance(value, (Deployment, VendorConfig))
    bare = without_secrets(cast("Deployment", value)) if keeps else value
    plain = {
        name: _json(found, f"{where}.{name}")
        for name in sorted(given)
        if (found := getattr(bare, name)) is not None and found != {}
    }
    return plain["model"] if isinstance(value, Deployment) and given == {"model"} else plain


def _secret_places(value: Any, where: str) -> Iterator[str]:
    """Yield where the words of requests in a field hold credentials."""
    if where.rpartition(".")[2] in _WORDS:
        yield from (place for place, _ in placed_secrets(value, "", where))
    elif isinstance(value, BaseChatModel):
        yield from (f"{name} of {where}" for name in BareModel(model=value).left_out())
    elif isinstance(value, BaseModel):
        for name in sorted(value.model_fields_set & {*_WORDS, "model"}):
            yield from _secret_places(getattr(value, name), f"{where}.{name}")
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from _secret_places(each, f"{where}[{name!r}]")
    elif isinstance(value, (list, tuple)):
        for number, each in enumerate(value):
            yield from _secret_places(each, f"{where}[{number}]")
