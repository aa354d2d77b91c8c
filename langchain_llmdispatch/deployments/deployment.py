"""What people configure: `Deployment` (one vendor + model + credentials + limits) and `VendorConfig`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

import httpx
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable
from pydantic import Field, SecretStr, field_validator

from langchain_llmdispatch.deployments.bindings import without_bindings
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.settings import Settings

ApiKey: TypeAlias = SecretStr | Callable[[], str]
"""A key, or a function that returns a fresh bearer token for each request (Azure Entra)."""

# Values in example files and tutorials; a vendor "configured" with one of them is not configured.
_PLACEHOLDERS = frozenset(
    ["", "changeme", "change-me", "todo", "none", "null", "xxx", "placeholder", "dummy", "your_key", "..."]
)


def is_placeholder(value: str) -> bool:
    """Return whether a key is a placeholder such as those in example files."""
    word = value.strip().strip("<>[]{}'\"").casefold()
    if word.startswith(("your", "insert", "replace", "enter", "example")):
        return True
    return word in _PLACEHOLDERS or set(word) <= {"x", "*", "-", "."} or "api-key-here" in word


class VendorConfig(Settings):
    """Credentials and limits of one vendor, for all deployments on it.

    Attributes:
        api_key: The vendor's key, or a function that returns a bearer token per request.
        base_url: Where the vendor is reached; default: the vendor's own address.
        timeout: Seconds for one attempt.
        rpm: Requests per minute that the key allows; calls queue for it.
        tpm: Tokens per minute that the key allows; calls queue for it.
        api_version: The vendor's API version (Azure, Anthropic).
        headers: Headers to add to each request.
        http_client: Your own `httpx.Client`, used for this vendor; yours to close.
        http_async_client: Your own `httpx.AsyncClient`; use it in one event loop only.
    """

    api_key: ApiKey | None = None
    base_url: str | None = None
    timeout: float | None = Field(default=None, gt=0)
    rpm: float | None = Field(default=None, gt=0)
    tpm: float | None = Field(default=None, gt=0)
    api_version: str | None = None
    headers: Mapping[str, str] = Field(default_factory=dict, exclude=True, repr=False)
    http_client: httpx.Client | None = Field(default=None, exclude=True, repr=False)
    http_async_client: httpx.AsyncClient | None = Field(default=None, exclude=True, repr=False)

    @field_validator("base_url")
    @classmethod
    def _check_url(cls, url: str | None) -> str | None:
        return check_url(url)


class Deployment(Settings):
    """One vendor, one model, one set of credentials, with its limits and prices.

    Example:
        ```python
        Deployment("anthropic:claude-haiku-5-5", rpm=50, tpm=40_000)
        Deployment("compatible:qwen3", base_url="http://127.0.0.1:8080/v1", input_price=0, output_price=0)
        ```

    Attributes:
        model: `vendor:model`, `vendor/model`, a well-known model name, or any LangChain chat model.
        name: What it is called in metadata, statistics and rules; default: `vendor:model`.
        api_key: Overrides the vendor's key: text, or a function (it may be async) that returns a token
            for each request.
        base_url: Overrides the vendor's address.
        timeout: Seconds for one attempt.
        first_token_timeout: Seconds from sending to the first streamed content.
        stream_idle_timeout: Seconds between two pieces of streamed content.
        weight: Share of traffic under the `weighted` strategy.
        rpm: Requests per minute; calls queue for it.
        tpm: Tokens per minute; calls queue for it.
        max_concurrency: Requests in flight at once.
        input_price: USD per million input tokens, instead of the price data.
        output_price: USD per million output tokens, instead of the price data.
        tags: Words for routing rules.
        params: Parameters for this deployment (`temperature`, `reasoning_effort`, ...): a call's own win
            over them, they win over the model's.
        headers: Headers to add to each request.
        api_version: The vendor's API version.
        profile: What the model can do, where the catalog does not know or is wrong (`ModelProfile` keys).
    """

    model: str | BaseChatModel
    name: str | None = None
    api_key: ApiKey | None = None
    base_url: str | None = None
    timeout: float | None = Field(default=None, gt=0)
    first_token_timeout: float | None = Field(default=None, gt=0)
    stream_idle_timeout: float | None = Field(default=None, gt=0)
    weight: float = Field(default=1.0, ge=0)
    rpm: float | None = Field(default=None, gt=0)
    tpm: float | None = Field(default=None, gt=0)
    max_concurrency: int | None = Field(default=None, gt=0)
    input_price: float | None = Field(default=None, ge=0)
    output_price: float | None = Field(default=None, ge=0)
    tags: frozenset[str] = frozenset()
    params: Mapping[str, Any] = Field(default_factory=dict)
    headers: Mapping[str, str] = Field(default_factory=dict, exclude=True, repr=False)
    api_version: str | None = None
    profile: Mapping[str, Any] = Field(default_factory=dict)

    def __init__(self, model: str | Runnable[Any, Any] | None = None, **fields: Any) -> None:
        if model is not None:
            fields["model"] = model
        if isinstance(fields.get("model"), Runnable):
            fields["model"], bound = without_bindings(fields["model"])
            fields["params"] = {**bound, **fields.get("params", {})} if bound else fields.get("params", {})
        super().__init__(**fields)

    @field_validator("model")
    @classmethod
    def _check_model(cls, model: str | BaseChatModel) -> str | BaseChatModel:
        if isinstance(model, str) and not model.strip():
            raise ConfigurationError("Deployment.model is empty; write 'vendor:model'.")
        return model

    @field_validator("base_url")
    @classmethod
    def _check_url(cls, url: str | None) -> str | None:
        return check_url(url)


def check_url(url: str | None) -> str | None:
    """Return the URL without a trailing slash.

    Raises:
        ConfigurationError: It is no absolute http(s) URL, carries credentials or a query, or would send keys
            in the clear to another machine.
    """
    if url is None:
        return None
    parsed = httpx.URL(url)
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ConfigurationError(f"base_url {url!r} is no absolute http(s) URL.")
    if parsed.userinfo or parsed.query:
        raise ConfigurationError(f"base_url on {parsed.host!r} must hold no credentials and no query.")
    return url.rstrip("/")


_SECRETS: Mapping[str, Any] = {"api_key": None, "headers": {}, "http_client": None, "http_async_client": None}
_Configured = TypeVar("_Configured", Deployment, VendorConfig)


def without_secrets(configured: _Configured) -> _Configured:
    """Return a deployment or a vendor's configuration as it may be pickled: no key, headers or clients."""
    fields = type(configured).model_fields
    return configured.model_copy(update={name: none for name, none in _SECRETS.items() if name in fields})
