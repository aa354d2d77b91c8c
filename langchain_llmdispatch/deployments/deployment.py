"""What people configure: `Deployment` (one vendor + model + credentials + limits) and `VendorConfig`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable
from pydantic import Field, InstanceOf, PrivateAttr, ValidationInfo, field_validator, model_validator
from pydantic.json_schema import SkipJsonSchema

from langchain_llmdispatch.deployments.bindings import without_bindings
from langchain_llmdispatch.deployments.credentials import Headers, Key, Url, Words
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.internal.lazy import LateModule
from langchain_llmdispatch.settings import NONE, Converted, Settings, late_class
from langchain_llmdispatch.vendors.client_words import ORGANIZATION, check_words
from langchain_llmdispatch.vendors.parameters import ALIASES
from langchain_llmdispatch.vendors.prompt_cache import NAME as PROMPT_CACHE
from langchain_llmdispatch.vendors.prompt_cache import checked_prompt_cache
from langchain_llmdispatch.vendors.word_secrets import WordDict, without_credentials

if TYPE_CHECKING:
    import httpx
    import httpx2

    from langchain_llmdispatch.vendors import parameter_values

    Client: TypeAlias = httpx.Client | httpx2.Client
    AsyncClient: TypeAlias = httpx.AsyncClient | httpx2.AsyncClient
else:
    parameter_values = LateModule("langchain_llmdispatch.vendors.parameter_values")
    Client, AsyncClient = (late_class("httpx", name, "httpx2") for name in ("Client", "AsyncClient"))


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


class _WithoutSecrets(Settings):
    """Base of what holds keys: its pickles hold none, nor headers or clients."""

    _also: ClassVar[frozenset[str]] = frozenset({"default_headers", "default_query", "organization"})

    def __getstate__(self) -> dict[Any, Any]:
        """Pickle the settings; keys come from the environment again."""
        state = super().__getstate__()
        bare = {name: none for name, none in _SECRETS.items() if name in type(self).model_fields}
        fields = {**state["__dict__"], **bare}
        if "params" in fields:
            fields["params"] = WordDict(without_credentials(fields["params"]))
        return {**state, "__dict__": fields}

    @model_validator(mode="before")
    @classmethod
    def _read_partner_words(cls, values: Any) -> Any:
        """Read `default_headers`, `default_query` and `organization` as LangChain's packages mean them."""
        if not isinstance(values, Mapping) or not values.keys() & cls._also:
            return values
        own = {name: value for name, value in values.items() if name not in cls._also}
        headers, query = values.get("default_headers") or {}, values.get("default_query") or {}
        account = {ORGANIZATION: values["organization"]} if values.get("organization") else {}
        own["headers"] = {**account, **headers, **(values.get("headers") or {})}
        own["query"] = {**query, **(values.get("query") or {})}
        return own


_SECRETS: Mapping[str, Any] = {
    "api_key": None,
    "headers": {},
    "query": {},
    "http_client": None,
    "http_async_client": None,
}


class VendorConfig(_WithoutSecrets):
    """Credentials and limits of one vendor, for all deployments on it.

    Attributes:
        api_key: The vendor's key, or a function that returns a bearer token per request.
        base_url: Where the vendor is reached; default: the vendor's own address.
        allow_http: Whether a key may go unencrypted (`http://`) to another machine.
        timeout: Seconds for one attempt.
        rpm: Requests per minute that the key allows; calls queue for it.
        tpm: Tokens per minute that the key allows; calls queue for it.
        api_version: The vendor's API version (Azure, Anthropic).
        headers: Headers to add to each request; also as `default_headers`, and `organization` (OpenAI).
        query: Parameters to add to the URL of each request; also as `default_query`.
        http_client: Your own `httpx.Client`, or one of `httpx2`, used for this vendor; yours to close.
        http_async_client: Your own `AsyncClient` of either package; use it in one event loop only.
    """

    api_key: Key = Field(default=NONE, repr=False)  # a function's repr may show its arguments
    base_url: Url = None
    allow_http: bool = False
    timeout: float | None = Field(default=None, gt=0)
    rpm: float | None = Field(default=None, gt=0)
    tpm: float | None = Field(default=None, gt=0)
    api_version: str | None = None
    headers: Headers = Field(default_factory=dict, exclude=True, repr=False)
    query: Mapping[str, Any] = Field(default_factory=dict, exclude=True, repr=False)
    http_client: Client | None = Field(default=None, exclude=True, repr=False)
    http_async_client: AsyncClient | None = Field(default=None, exclude=True, repr=False)
    _file: str | None = PrivateAttr(default=None)

    @property
    def file(self) -> str | None:
        """The configuration file that it was read from, or None."""
        return self._file

    def read_from(self, file: str) -> None:
        """Note the configuration file that it was read from: its address gets keys of that file only."""
        self._file = file


if TYPE_CHECKING:
    _Model: TypeAlias = Converted[str | BaseChatModel, str | Runnable[Any, Any]]
    _Tags: TypeAlias = Converted[frozenset[str], Iterable[str]]
else:
    _Model, _Tags = str | SkipJsonSchema[InstanceOf[BaseChatModel]], frozenset[str]
_NO_TAGS: Any = frozenset()


class _ModelName:
    """Stands for a LangChain model where a deployment is shown."""

    def __init__(self, model: BaseChatModel) -> None:
        name = getattr(model, "model_name", None) or getattr(model, "model", "")
        self._shown = f"{type(model).__name__}({name!r})"

    def __repr__(self) -> str:
        return self._shown


class Deployment(_WithoutSecrets):
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
        base_url: Overrides the vendor's address. No key of the environment or of `VendorConfig` goes there.
        allow_http: Whether a key may go unencrypted (`http://`) to another machine.
        timeout: Seconds for one attempt.
        first_token_timeout: Seconds from sending to the first streamed content.
        stream_idle_timeout: Seconds between two pieces of streamed content.
        weight: Share of traffic under the `weighted` strategy.
        rpm: Requests per minute; calls queue for it.
        tpm: Tokens per minute; calls queue for it.
        max_concurrency: Requests in flight at once.
        input_price: USD per million input tokens, instead of the price data.
        output_price: USD per million output tokens, instead of the price data.
        geography: Where requests are processed, if that changes the price: `data_zone` for an Azure
            deployment of that type. Regional addresses of OpenAI and Vertex are known.
        tags: Words for routing rules.
        params: Parameters for this deployment (`temperature`, `reasoning_effort`, ...): a call's own win
            over them, they win over the model's.
        headers: Headers to add to each request; also as `default_headers`, and `organization` (OpenAI).
        query: Parameters to add to the URL of each request; also as `default_query`.
        api_version: The vendor's API version.
        profile: What the model can do, where the catalog does not know or is wrong (`ModelProfile` keys).
    """

    model: _Model = Field(kw_only=False)
    name: str | None = None
    api_key: Key = Field(default=NONE, repr=False)  # a function's repr may show its arguments
    base_url: Url = None
    allow_http: bool = False
    timeout: float | None = Field(default=None, gt=0)
    first_token_timeout: float | None = Field(default=None, gt=0)
    stream_idle_timeout: float | None = Field(default=None, gt=0)
    weight: float = Field(default=1.0, ge=0)
    rpm: float | None = Field(default=None, gt=0)
    tpm: float | None = Field(default=None, gt=0)
    max_concurrency: int | None = Field(default=None, gt=0)
    input_price: float | None = Field(default=None, ge=0)
    output_price: float | None = Field(default=None, ge=0)
    geography: str | None = None
    tags: _Tags = Field(default=_NO_TAGS)
    params: Words = Field(default_factory=dict)
    headers: Headers = Field(default_factory=dict, exclude=True, repr=False)
    query: Mapping[str, Any] = Field(default_factory=dict, exclude=True, repr=False)
    api_version: str | None = None
    profile: Mapping[str, Any] = Field(default_factory=dict)

    _positional: ClassVar[str | None] = "model"

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Show the fields that were given; of a LangChain model, which may hold headers, class and name."""
        for name, value in super().__repr_args__():
            yield name, _ModelName(value) if isinstance(value, BaseChatModel) else value

    @model_validator(mode="before")
    @classmethod
    def _unbind(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or not isinstance(values.get("model"), Runnable):
            return values
        model, bound = without_bindings(values["model"])
        own = values.get("params", {})
        if bound and isinstance(own, Mapping):
            own = {**bound, **own}
        return {**values, "model": model, "params": own}

    @field_validator("params")
    @classmethod
    def _check_params(cls, params: Mapping[str, Any], info: ValidationInfo) -> Mapping[str, Any]:
        check_words(params, "Deployment.params", scoped=isinstance(info.data.get("model"), str))
        checked_prompt_cache(params.get(PROMPT_CACHE))
        return WordDict(parameter_values.converted(params, ALIASES)) if params else params

    @field_validator("model")
    @classmethod
    def _check_model(cls, model: str | BaseChatModel) -> str | BaseChatModel:
        if isinstance(model, str) and not model.strip():
            raise ConfigurationError("Deployment.model is empty; write 'vendor:model'.")
        return model


_Configured = TypeVar("_Configured", Deployment, VendorConfig)


def without_secrets(configured: _Configured) -> _Configured:
    """Return a deployment or a vendor's configuration as it may be pickled: no key, headers or clients."""
    fields = type(configured).model_fields
    bare = {name: none for name, none in _SECRETS.items() if name in fields}
    if isinstance(configured, Deployment):
        bare["params"] = WordDict(without_credentials(configured.params))
    return configured.model_copy(update=bare)
