"""Azure: OpenAI models by deployment, AI Foundry's model inference, and GitHub Models.

Where a request goes is read off the endpoint, in this order (V: the version, MODEL: the deployment):

    base URL                              API version      request
    ------------------------------------  ---------------  ---------------------------------------------
    .../chat/completions ("target URI")   any              as it is, ?api-version=V if dated
    models.github.ai/inference,           any              BASE/chat/completions
    models.inference.ai.azure.com
    .../models, .../inference             any              BASE/chat/completions?api-version=V
    *.models.ai.azure.com (serverless)    any              BASE/v1/chat/completions
    .../openai/deployments/NAME           any              BASE/chat/completions?api-version=V
    .../openai/v1                         any              BASE/chat/completions
    any other                             dated            BASE/openai/deployments/MODEL/chat/..?api-version=V
    any other                             none, v1         BASE/openai/v1/chat/completions
    any other                             preview, latest  BASE/openai/v1/chat/completions?api-version=V

The Responses API is at RESOURCE/openai/v1/responses, whatever the base URL, and in dated versions that have
it (previews from 2025-03-01 on) at RESOURCE/openai/responses?api-version=V:
learn.microsoft.com/azure/ai-foundry/openai/how-to/responses.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from langchain_llmdispatch.vendors.base import Environment, HistoryRules, Listing
from langchain_llmdispatch.vendors.openai import rules
from langchain_llmdispatch.vendors.openai.batches import AzureBatches
from langchain_llmdispatch.vendors.openai.chat_request import Dialect
from langchain_llmdispatch.vendors.openai.vendor import OpenAIVendor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.batches import BatchApi

_FILE_SECONDS = 14 * 86_400  # the least that Azure takes
_FOREIGN = re.compile(
    r"deepseek|grok|llama|mistral|ministral|codestral|phi-?\d|kimi|cohere|command|jais|mai-|gpt-oss|qwen|jamba",
    re.IGNORECASE,
)
_FIRST_USAGE_VERSION = "2024-09-01"
_FIRST_RESPONSES_VERSION = "2025-03-01"
_DEPLOYMENTS = "/openai/deployments/"
_OPENAI = frozenset({"resource", "v1", "deployment"})
"""The kinds of services that are Azure OpenAI's."""


class _Service(NamedTuple):
    """The service behind a base URL."""

    base: str
    kind: str
    bearer: bool


@lru_cache(maxsize=256)
def _service(base_url: str) -> _Service:
    base = base_url.rstrip("/")
    parts = urlsplit(base)
    host, path = parts.hostname or "", parts.path
    github = host in {"models.github.ai", "models.inference.ai.azure.com"}
    if path.endswith("/chat/completions"):
        return _Service(base, "complete", github)
    if github or path.endswith(("/models", "/inference")):
        return _Service(base, "inference", github)
    if host.endswith(".models.ai.azure.com"):
        return _Service(base.removesuffix("/v1"), "serverless", bearer=True)
    if _DEPLOYMENTS in path:
        return _Service(base, "deployment", bearer=False)
    if path.endswith("/openai/v1"):
        return _Service(base.removesuffix("/openai/v1"), "v1", bearer=False)
    return _Service(base.removesuffix("/openai"), "resource", bearer=False)


def _responses_url(service: _Service, version: str | None, path: str) -> str:
    resource, query = service.base.partition(_DEPLOYMENTS)[0], ""
    if version and service.kind != "v1":
        if _FIRST_RESPONSES_VERSION <= version < "a":
            return f"{resource}/openai/{path}?api-version={quote(version, safe='')}"
        query = f"?api-version={version}" if version in {"preview", "latest"} else ""
    return f"{resource}/openai/v1/{path}{query}"


class AzureVendor(OpenAIVendor):
    """Azure OpenAI and its neighbours. The model is the deployment's name."""

    count_field: ClassVar[str | None] = None  # its documentation names no such endpoint
    name = "azure"
    aliases = ("azure-openai", "azure_openai")
    base_url = None
    model_in_path = True
    domains = (".azure.com", ".azure.us", ".azure.cn")
    environment = Environment(
        # Never OPENAI_API_KEY: that key belongs to another host.
        keys=("AZURE_OPENAI_API_KEY", "AZURE_API_KEY"),
        urls=("AZURE_OPENAI_ENDPOINT", "AZURE_API_BASE"),
        versions=("OPENAI_API_VERSION", "AZURE_API_VERSION"),
        timeout="AZURE_OPENAI_TIMEOUT",
    )
    model_names = ()
    default_model = None
    listing: ClassVar[Listing] = rules.AZURE_LISTING
    litellm_names: ClassVar[tuple[str, ...]] = ("azure",)
    otel_name = "azure.ai.openai"
    # LangChain's packages mark OpenAI's messages and Azure's alike.
    history: ClassVar[HistoryRules] = replace(OpenAIVendor.history, only_recorded=True)

    def url(self, call: Call, path: str = "chat/completions") -> str:
        """Return where `path` of the API is; see the table at the top."""
        service, version = _service(call.endpoint.base_url), call.endpoint.api_version
        dated = version if version and version[0].isdigit() else None
        query = f"?api-version={quote(version, safe='')}" if version else ""
        if path.partition("/")[0] in {"responses", "files", "batches"}:
            return _responses_url(service, version, path)
        if service.kind == "complete":
            return f"{service.base}{query}" if dated and not service.bearer else service.base
        if service.kind in {"inference", "deployment"}:
            return f"{service.base}/{path}{'' if service.bearer else query}"
        if service.kind == "serverless":
            return f"{service.base}/v1/{path}"
        if service.kind == "v1" or not dated:
            return f"{service.base}/openai/v1/{path}{'' if dated or version == 'v1' else query}"
        return f"{service.base}/openai/deployments/{quote(call.model, safe='')}/{path}{query}"

    def credentials(self, call: Call) -> dict[str, str]:
        """Return `api-key`, or a bearer: an Entra token, or the key where the host takes it so."""
        endpoint = call.endpoint
        if endpoint.token_provider or _service(endpoint.base_url).bearer or not endpoint.api_key:
            return super().credentials(call)
        return {"api-key": endpoint.api_key.get_secret_value()}

    def dialect(self, call: Call) -> Dialect:
        """Return the spelling for the model that the deployment's name suggests."""
        version = call.endpoint.api_version or ""
        # Older versions refuse the option. A version that is no date is a new one.
        usage = not version[:1].isdigit() or version >= _FIRST_USAGE_VERSION
        if self._foreign(call):
            return Dialect(text_parts=False)
        return replace(super().dialect(call), stream_usage=usage)

    def encode_body(self, call: Call) -> tuple[str, dict[str, Any]]:
        """Return the path and the body; only Responses need the deployment's name in it."""
        path, body = super().encode_body(call)
        service = _service(call.endpoint.base_url)
        if path == "responses" and service.kind == "deployment":
            body["model"] = unquote(service.base.partition(_DEPLOYMENTS)[2])
        return path, body

    def cache_words(self, call: Call) -> dict[str, Any]:
        """Return the words for the prompt cache, which dated API versions and other models do not have."""
        here = _service(call.endpoint.base_url).kind in _OPENAI and not self._foreign(call)
        dated = (call.endpoint.api_version or "")[:1].isdigit()
        return super().cache_words(call) if here and not dated else {}

    def uses_responses(self, call: Call) -> bool:
        """Return whether `call` goes to the Responses API, which only Azure OpenAI has."""
        here = _service(call.endpoint.base_url).kind in _OPENAI and not _FOREIGN.search(call.model)
        return here and super().uses_responses(call)

    def batch_api(self, call: Call) -> BatchApi | None:
        """Return the Batch API of Azure OpenAI; the deployment must be of a batch type.

        Files that expire have a quota of their own, 10,000 and not 500 (Azure/azure-sdk-for-java#47401).
        """
        if _service(call.endpoint.base_url).kind not in _OPENAI or _FOREIGN.search(call.model):
            return None
        old = f"{self.url(call, 'batches')}?".partition("?")[0].endswith("/openai/batches")
        return AzureBatches(self, call, prefix="/" if old else "/v1/", expires_after=_FILE_SECONDS)

    def provider_of(self, call: Call) -> str:
        """Return `openai` for OpenAI's models; the others' reasoning would be hidden by its translator."""
        return "azure" if self._foreign(call) else "openai"

    def _foreign(self, call: Call) -> bool:
        inference = _service(call.endpoint.base_url).kind in {"inference", "serverless"}
        return bool(_FOREIGN.search(call.model)) or (inference and "gpt" not in call.model)

    def request_id(self, headers: Mapping[str, str]) -> str | None:
        """Return Azure's id for the request."""
        return headers.get("apim-request-id") or super().request_id(headers)
