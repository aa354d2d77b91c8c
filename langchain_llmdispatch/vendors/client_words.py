"""Words of clients: keys, addresses, connections. They configure a deployment, and are never sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from langchain_llmdispatch.errors import ConfigurationError

VENDOR_PARAMS = "vendor_params"
"""The word for words of one vendor only."""
ORGANIZATION = "OpenAI-Organization"
"""The header that `organization` stands for."""
_KEY = (
    "a key belongs to a deployment or a vendor: Deployment(model, api_key=...), "
    "vendors={name: VendorConfig(api_key=...)}"
)
_URL = "an address belongs to a deployment: Deployment(model, base_url=...), or VendorConfig(base_url=...)"
_CLIENT = "connections belong to a vendor: VendorConfig(http_client=..., http_async_client=...)"
_HEADERS = "write extra_headers={...}, which go to the call's first choice only, or Deployment(headers={...})"
_QUERY = "write extra_query={...}, which goes to the call's first choice only, or Deployment(query={...})"
_ACCOUNT = "an account belongs to a deployment: Deployment(model, organization=...)"
_RETRIES = "retries are the model's: max_retries=... or retry_policy=... at construction"

_KEYS = (
    "api_key", "openai_api_key", "anthropic_api_key", "google_api_key", "gemini_api_key", "cohere_api_key",
    "azure_openai_api_key", "huggingfacehub_api_token", "azure_ad_token", "azure_ad_token_provider",
    "azure_ad_async_token_provider", "credentials", "auth_token",
)  # fmt: skip
_URLS = (
    "base_url", "api_base", "openai_api_base", "anthropic_api_url", "azure_endpoint", "endpoint_url",
    "inference_server_url", "client_options",
)  # fmt: skip
_CLIENTS = (
    "http_client", "http_async_client", "http_socket_options", "client", "async_client", "root_client",
    "root_async_client", "client_args", "client_kwargs", "async_client_kwargs", "sync_client_kwargs",
    "openai_proxy", "anthropic_proxy",
)  # fmt: skip
CLIENT_WORDS: Mapping[str, str] = {
    **dict.fromkeys(_KEYS, _KEY),
    **dict.fromkeys(_URLS, _URL),
    **dict.fromkeys(_CLIENTS, _CLIENT),
    "default_headers": _HEADERS,
    "additional_headers": _HEADERS,
    "default_query": _QUERY,
    **dict.fromkeys(("organization", "openai_organization", "project"), _ACCOUNT),
    "max_retries": _RETRIES,
    "request_timeout": "write timeout=... (seconds)",
    "api_version": "a version belongs to a deployment: Deployment(model, api_version=...)",
}
"""What to do instead, by the word. `timeout` is taken per call."""


_OF_ALL: Mapping[str, str] = {
    VENDOR_PARAMS: "these words are for one vendor already; write them without it",
    "timeout": "write Deployment(timeout=...), VendorConfig(timeout=...) or invoke(..., timeout=...)",
}
"""What is no word for one vendor."""


def check_words(words: Iterable[str], where: str, *, scoped: bool = False) -> None:
    """Check that none of the words is a client's.

    Args:
        words: The words.
        where: Where they are written, for the error: `model_kwargs`.
        scoped: Whether they are for one vendor or deployment.

    Raises:
        ConfigurationError: One is; the message names what to do instead, and holds no value.
    """
    for word in words:
        if (instead := CLIENT_WORDS.get(word) or (_OF_ALL.get(word) if scoped else None)) is not None:
            raise ConfigurationError(f"{where}: {word} is never sent in a request: {instead}.")


def checked_vendor_params(value: Any, where: str = VENDOR_PARAMS) -> dict[str, dict[str, Any]]:
    """Return `{vendor: {word: value}}` as it is to be.

    Raises:
        ConfigurationError: It is something else, or holds a key, an address or a client.
    """
    if not isinstance(value, Mapping) or not all(isinstance(inner, Mapping) for inner in value.values()):
        raise ConfigurationError(
            f"{where} is a mapping of words by vendor: {{'anthropic': {{'betas': [...]}}}}."
        )
    for vendor, words in value.items():
        check_words(words, f"{where}[{vendor!r}]", scoped=True)
    return {str(vendor): dict(words) for vendor, words in value.items()}
