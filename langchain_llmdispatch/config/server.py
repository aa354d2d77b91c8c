"""The section `server` of a configuration file: for `llmdispatch serve`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from langchain_llmdispatch.deployments.deployment import is_placeholder
from langchain_llmdispatch.settings import Converted, Settings

_SHORTEST = 8


def _key(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if len(text) < _SHORTEST or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"is no key: at least {_SHORTEST} printable ASCII characters, without blanks.")
    if is_placeholder(text):
        raise ValueError("is a placeholder, which others can guess.")
    return value


class ClientKey(Settings):
    """A key of one client of the server, and what it may use.

    Attributes:
        key: What the client sends as `Authorization: Bearer <key>`, best as `${NAME}`.
        name: The client's name: its calls have it as `client` in their metadata, for routing rules and
            budgets (`scope: "metadata:client"`). Default: `client-1`, by its place in the list.
        models: The only routes and deployments that it may name; empty for all.
        usd: Dollars that it may spend per `per`, over Redis where the model shares; None for no bound.
        per: `hour`, `day`, `week`, `month`, or seconds.
        rpm: Requests that it may send in any minute, to each server process; more are refused (429).
    """

    key: Annotated[SecretStr, AfterValidator(_key)]
    name: str | None = Field(default=None, min_length=1)
    models: Annotated[Sequence[str], AfterValidator(tuple)] = ()
    usd: float | None = Field(default=None, ge=0)
    per: str | float = "month"
    rpm: int | None = Field(default=None, gt=0)


def _given(value: Any) -> Any:
    return {"key": value} if isinstance(value, (str, SecretStr)) else value


KeyGiven: TypeAlias = str | SecretStr | Mapping[str, Any] | ClientKey
"""What stands for a client's key: the key alone, or the fields of a `ClientKey`."""
if TYPE_CHECKING:
    Keys: TypeAlias = Converted[Sequence[ClientKey], Sequence[KeyGiven]]
else:
    Keys = Annotated[
        Sequence[Annotated[ClientKey, BeforeValidator(_given, json_schema_input_type=str | ClientKey)]],
        AfterValidator(tuple),
    ]
_NO_KEYS: Any = ()


class ServerConfig(Settings):
    """How the configuration is served over HTTP.

    Attributes:
        host: The address to bind. Other machines reach the server by `0.0.0.0`, which needs `api_keys`.
        port: The port to bind; 0 for a free one.
        api_keys: Keys of clients, best as `${NAME}`: `"${KEY}"`, or `{key: "${KEY}", name: team-a, usd: 20}`;
            none leaves the server open, on this machine only.
        grace: Seconds that answers under way have when the server is stopped.
        max_body_bytes: The most bytes of a request.
        cors_origins: Origins whose pages may use the server from a browser; none by default.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    api_keys: Keys = Field(default=_NO_KEYS)
    grace: float = Field(default=30.0, ge=0)
    max_body_bytes: int = Field(default=32 * 1024 * 1024, gt=0)
    cors_origins: Annotated[Sequence[str], AfterValidator(tuple)] = ()
