"""The field `redis`: where limits, health and budgets are shared by processes, with no further code.

redis: "redis://:${REDIS_PASSWORD}@redis:6379/0"     # or LLMDISPATCH_REDIS_URL in the environment

redis:
  url: "redis://redis:6379/0"
  namespace: team-a
  budgets: [{name: daily, usd: 20, per: day}]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.internal.lazy import LateModule
from langchain_llmdispatch.settings import Converted, Settings

if TYPE_CHECKING:
    from langchain_llmdispatch.budgets import budget
    from langchain_llmdispatch.redis import address
else:
    budget = LateModule("langchain_llmdispatch.budgets.budget")
    address = LateModule("langchain_llmdispatch.redis.address")

VARIABLE = "LLMDISPATCH_REDIS_URL"
"""The variable that is enough for shared limits and health."""
OMITTED = "REDIS_PASSWORD"
"""The variable with the password that a pickle or a JSON text leaves out."""
_SCHEMES = ("redis://", "rediss://", "unix://")


def _url(value: SecretStr | None) -> SecretStr | None:
    if value is None:
        return None
    if not value.get_secret_value().lower().startswith(_SCHEMES):
        raise ValueError(
            "is no URL of Redis: redis://, rediss:// or unix://, as in redis://:PASSWORD@host:6379/0; a "
            "password's special characters are percent-encoded."
        )
    address.parts_of(value.get_secret_value())
    return value


class RedisBudgetConfig(Settings):
    """A budget that all processes spend from; see `Budget`.

    Attributes:
        name: Its name; processes with the same name and namespace share it.
        usd: Dollars, or None for no bound.
        tokens: Tokens in and out, or None for no bound.
        per: `hour`, `day`, `week`, `month`, `run`, `call`, or seconds.
        scope: Who has it of their own: `user`, `thread`, `tag`, `metadata:KEY`, ...; None for all together.
        time_zone: The zone of the calendar.
        near: The share spent from which `on_budget` acts.
    """

    name: str = Field(min_length=1)
    usd: float | None = Field(default=None, ge=0)
    tokens: int | None = Field(default=None, ge=0)
    per: str | float | None = None
    scope: str | None = None
    time_zone: str = "UTC"
    near: float = 0.8

    @model_validator(mode="after")
    def _check(self) -> RedisBudgetConfig:
        budget.Budget(self.usd, **self.settings)
        return self

    @property
    def settings(self) -> dict[str, Any]:
        """What `Budget` takes besides dollars and the name."""
        names = ("tokens", "per", "scope", "time_zone", "near")
        return {name: getattr(self, name) for name in names}


class RedisConfig(Settings):
    """What processes share, and where. Nothing connects before the first call.

    Attributes:
        url: `redis://`, `rediss://` or `unix://`; default: the variable `LLMDISPATCH_REDIS_URL`.
        namespace: What all keys begin with; processes with the same one share.
        timeout: Seconds that the server may take to respond, before it counts as lost.
        refresh: Seconds after which known health and budgets are read anew.
        processes: The least number of processes assumed to share while the server is lost.
        budgets: Budgets that all processes spend from.
    """

    url: Annotated[SecretStr | None, AfterValidator(_url)] = None
    namespace: str = Field(default="llmdispatch", min_length=1)
    timeout: float = Field(default=0.15, gt=0)
    refresh: float = Field(default=0.5, gt=0)
    processes: int = Field(default=1, ge=1)
    budgets: Annotated[Sequence[RedisBudgetConfig], AfterValidator(tuple)] = ()

    def resolved(self, variables: Mapping[str, str]) -> RedisConfig:
        """Return the configuration with its whole URL: from the variable, or with the password left out.

        Raises:
            ConfigurationError: There is no URL, or its password is missing here.
        """
        given = variables.get(VARIABLE, "").strip()
        if self.url is None:
            if not given:
                raise ConfigurationError(f"redis: url is missing; give it, or set {VARIABLE}.")
            return self._at(given)
        url = self.url.get_secret_value()
        if not address.lacks_password(url):
            return self
        if given and address.without_password(given) == url:
            return self._at(given)
        if not (password := variables.get(OMITTED)):
            raise ConfigurationError(
                f"redis: the password of its url is missing: set {OMITTED} or {VARIABLE}."
            )
        return self._at(address.with_password(url, password))

    def bare(self) -> dict[str, Any]:
        """Return the fields that were given, the URL without its password, for pickles and JSON."""
        given = self.model_dump(exclude_unset=True, exclude={"url"})
        return (
            given
            if self.url is None
            else {"url": address.without_password(self.url.get_secret_value()), **given}
        )

    @property
    def holds_password(self) -> bool:
        """Whether `bare` leaves a password out."""
        return self.url is not None and address.without_password(url := self.url.get_secret_value()) != url

    def _at(self, url: str) -> RedisConfig:
        fields = {name: getattr(self, name) for name in self.model_fields_set}
        return RedisConfig(**{**fields, "url": url})


def resolved(given: RedisConfig | Literal[False] | None, variables: Mapping[str, str]) -> RedisConfig | None:
    """Return where a model with this field shares: by the field or by the variable; None for nowhere.

    Raises:
        ConfigurationError: The URL is missing or none of Redis; the message names the variable.
    """
    if given is False or (given is None and not variables.get(VARIABLE, "").strip()):
        return None
    try:
        return (given or RedisConfig()).resolved(variables)
    except ConfigurationError as error:
        text = str(error)
    raise ConfigurationError(text if given is not None else f"{VARIABLE}: {text.removeprefix('url: ')}")


def _given(value: Any) -> Any:
    if isinstance(value, (str, SecretStr)):
        text = value if isinstance(value, str) else value.get_secret_value()
        return RedisConfig(url=SecretStr(text.strip())) if text.strip() else None
    if isinstance(value, Mapping):
        return RedisConfig(**value)
    if value is None or value is False or isinstance(value, RedisConfig):
        return value
    raise ValueError(f"{type(value).__name__} is neither a URL, nor a mapping, nor False.")


RedisGiven: TypeAlias = str | SecretStr | Mapping[str, Any] | RedisConfig | Literal[False] | None
"""What the field takes: a URL, the fields of a `RedisConfig`, or False for nothing shared."""
if TYPE_CHECKING:
    Redis: TypeAlias = Converted[RedisConfig | Literal[False] | None, RedisGiven]
else:
    Redis = Annotated[
        RedisConfig | Literal[False] | None,
        BeforeValidator(_given, json_schema_input_type=str | RedisConfig | Literal[False] | None),
    ]
