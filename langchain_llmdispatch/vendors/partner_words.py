"""Constructor words of LangChain's own packages, as data: what each means here, or what to do instead.

langchain-openai 1.7, -anthropic 1.7, -google-genai 4.4, -cohere 0.6, -ollama 1.1, -huggingface 1.2. Words of
a vendor's requests (`betas`, `num_ctx`) are not listed here: they become words of every call.
"""

from __future__ import annotations

from collections.abc import Mapping

FIELDS: Mapping[str, str] = {
    "model_name": "model",
    "model_id": "model",
    "request_timeout": "timeout",
    "default_request_timeout": "timeout",
    "timeout_seconds": "timeout",
    "stream_chunk_timeout": "stream_idle_timeout",
    "retries": "max_retries",
    "endpoint_url": "base_url",
    "inference_server_url": "base_url",
    "additional_headers": "default_headers",
}
"""Words for fields of ours."""
OF_VENDORS: Mapping[str, tuple[str, str]] = {
    "openai_api_key": ("openai", "api_key"),
    "openai_api_base": ("openai", "base_url"),
    "openai_organization": ("openai", "organization"),
    "openai_api_version": ("azure", "api_version"),
    "azure_openai_api_key": ("azure", "api_key"),
    "azure_endpoint": ("azure", "base_url"),
    "azure_ad_token": ("azure", "api_key"),
    "azure_ad_token_provider": ("azure", "api_key"),
    "azure_ad_async_token_provider": ("azure", "api_key"),
    "anthropic_api_key": ("anthropic", "api_key"),
    "anthropic_api_url": ("anthropic", "base_url"),
    "google_api_key": ("google", "api_key"),
    "gemini_api_key": ("google", "api_key"),
    "cohere_api_key": ("cohere", "api_key"),
    "huggingfacehub_api_token": ("huggingface", "api_key"),
}
"""Words for one vendor's key or address: its `VendorConfig`."""
MODELS: Mapping[str, str] = {
    "azure_deployment": "azure",
    "deployment_name": "azure",
    "repo_id": "huggingface",
}
"""Words for a vendor's model."""
_PROXY = "write VendorConfig(http_client=httpx.Client(proxy=...)), or set HTTPS_PROXY"
_VERTEX = (
    "Vertex AI is reached by base_url and a function that returns a token: Deployment('google:...', "
    "base_url='https://...-aiplatform.googleapis.com/v1/projects/.../publishers/google', api_key=get_token)"
)
_LOCALLY = (
    "it steers transformers in this process, which is not among the vendors; hand the chat model itself in"
)
_LISTED = "deployments are tried in the order of models=[...]; Anthropic's own word goes into vendor_params"
REFUSED: Mapping[str, str] = {
    **dict.fromkeys(("fallbacks", "fallback_models", "default_fallbacks"), _LISTED),
    "n": "one answer per call; use batch() for several",
    "candidate_count": "one answer per call; use batch() for several",
    "openai_proxy": _PROXY,
    "anthropic_proxy": _PROXY,
    **dict.fromkeys(("vertexai", "location", "credentials"), _VERTEX),
    "project": f"OpenAI's goes into default_headers={{'OpenAI-Project': ...}}; {_VERTEX}",
    "disabled_params": "leave it out: what a model does not take is left out by the catalog, and reported",
    "include_response_headers": "rate limits are read for you, request ids are in llmdispatch.attempts",
    "tiktoken_model_name": "tokens are estimated; for exact ones set custom_get_token_ids",
    "model_version": "prices follow the model in the response; else set input_price and output_price",
    "openai_api_type": "write the vendor before the model: azure:..., openai:...",
    "validate_base_url": "leave it out: an address is always checked",
    "validate_model_on_init": "leave it out: a model that is not there is an error of the first call",
    "convert_system_message_to_human": "leave it out: system messages are compiled for each model",
    **dict.fromkeys(("default_metadata", "default_metadata_input"), "write default_headers={...}"),
    "client_options": "write base_url=...",
    "transport": "requests go over HTTPS",
    "user_agent": "write default_headers={'user-agent': ...}",
    "preamble": "Cohere's second API has none: write a SystemMessage",
    "connectors": "Cohere's second API has none: write tools",
    "llm": "write model='huggingface:...'; for a pipeline in this process hand in the chat model itself",
    **dict.fromkeys(("tokenizer", "task", "return_full_text"), _LOCALLY),
    "server_kwargs": "write VendorConfig(headers=..., http_client=...)",
}
"""Words that have no meaning here, with the way out."""
TOKENS = frozenset({"azure_ad_token", "azure_ad_token_provider", "azure_ad_async_token_provider"})
"""Those whose value is a bearer token, or returns one."""
