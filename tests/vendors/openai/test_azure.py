"""Azure: where requests go, with which credentials, and what its answers add."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, SystemMessage
from pydantic import SecretStr

from langchain_llmdispatch import errors
from langchain_llmdispatch.types import Call, Endpoint, ToolSpec
from langchain_llmdispatch.vendors.openai.azure import AzureVendor
from tests.cases import each

VENDOR = AzureVendor()
RESOURCE = "https://res.openai.azure.com"


def call(base_url: str = RESOURCE, version: str | None = None, **fields: Any) -> Call:
    """Return a call of a deployment."""
    endpoint = fields.pop("endpoint", Endpoint(base_url, SecretStr("the-key"), api_version=version))
    return Call(fields.pop("model", "gpt-4o"), endpoint, [HumanMessage("Hi")], **fields)


def body(compiled: Call) -> dict[str, Any]:
    """Return the JSON body of the request for `compiled`."""
    return json.loads(VENDOR.encode_request(compiled).content)


@each(
    ("base_url", "version", "expected"),
    [
        (RESOURCE, None, "/openai/v1/chat/completions"),
        (RESOURCE + "/", "v1", "/openai/v1/chat/completions"),
        (RESOURCE, "preview", "/openai/v1/chat/completions?api-version=preview"),
        (RESOURCE + "/openai/v1", None, "/openai/v1/chat/completions"),
        (RESOURCE + "/openai/v1/", "2024-10-21", "/openai/v1/chat/completions"),
        (RESOURCE, "2024-10-21", "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"),
        (
            RESOURCE + "/openai",
            "2024-10-21",
            "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
        ),
        (
            RESOURCE + "/openai/deployments/prod",
            "2024-10-21",
            "/openai/deployments/prod/chat/completions?api-version=2024-10-21",
        ),
        (
            RESOURCE + "/openai/deployments/prod/chat/completions",
            "2024-10-21",
            "/openai/deployments/prod/chat/completions?api-version=2024-10-21",
        ),
        (
            "https://hub.services.ai.azure.com/models",
            "2024-05-01-preview",
            "/models/chat/completions?api-version=2024-05-01-preview",
        ),
        ("https://models.github.ai/inference", "2024-10-21", "/inference/chat/completions"),
        ("https://models.inference.ai.azure.com", None, "/chat/completions"),
        ("https://m.eastus.models.ai.azure.com", None, "/v1/chat/completions"),
    ],
)
def test_where_it_goes(base_url: str, version: str | None, expected: str) -> None:
    """The base URL and the version decide the path, as in the module's table."""
    url = VENDOR.encode_request(call(base_url, version)).url
    assert url.raw_path.decode() == expected


def test_deployment_names_are_quoted() -> None:
    """A deployment's name is one segment of the path."""
    url = VENDOR.encode_request(call(version="2024-10-21", model="a/b c")).url
    assert url.raw_path.decode().startswith("/openai/deployments/a%2Fb%20c/")


@pytest.mark.parametrize(
    ("endpoint", "name", "value"),
    [
        (Endpoint(RESOURCE, SecretStr("k")), "api-key", "k"),
        (Endpoint(RESOURCE, SecretStr("k"), token_provider=lambda: "t"), "authorization", "Bearer t"),
        (Endpoint("https://models.github.ai/inference", SecretStr("k")), "authorization", "Bearer k"),
        (Endpoint("https://hub.services.ai.azure.com/models", SecretStr("k")), "api-key", "k"),
    ],
)
def test_credentials(endpoint: Endpoint, name: str, value: str) -> None:
    """A key is `api-key`, a token a bearer, and never both."""
    headers = VENDOR.encode_request(call(endpoint=endpoint)).headers
    assert headers[name] == value
    assert ("api-key" in headers) != ("authorization" in headers)


def test_never_openais_key() -> None:
    """OpenAI's variable holds a key of another host."""
    assert "OPENAI_API_KEY" not in VENDOR.environment.keys


@each(
    ("fields", "word"),
    [
        ({"model": "gpt-4o"}, "max_tokens"),
        ({"model": "gpt-35-turbo"}, "max_tokens"),
        ({"model": "gpt-5-mini"}, "max_completion_tokens"),
        ({"model": "production"}, "max_completion_tokens"),
        ({"model": "DeepSeek-R1"}, "max_tokens"),
    ],
)
def test_name_of_the_output_limit(fields: dict[str, Any], word: str) -> None:
    """The deployment's name shows whether the model is old, new or not OpenAI's."""
    assert body(call(params={"max_tokens": 3}, **fields))[word] == 3


@each(("version", "taken"), [("2023-05-15", False), ("2024-10-21", True), (None, True), ("preview", True)])
def test_old_versions_take_no_option_for_usage(version: str | None, taken: bool) -> None:
    """`stream_options` came with 2024-09-01-preview."""
    assert ("stream_options" in body(call(version=version, stream=True))) is taken


def test_others_models_take_plain_strings() -> None:
    """AI Foundry's other models get text as a string."""
    compiled = Call("Mistral-Large", Endpoint(RESOURCE), [SystemMessage([{"type": "text", "text": "s"}])])
    assert body(compiled)["messages"] == [{"role": "system", "content": "s"}]


@each(
    ("compiled", "provider"),
    [
        (call(), "openai"),
        (call(model="DeepSeek-R1"), "azure"),
        (call("https://hub.services.ai.azure.com/models", model="Phi-4"), "azure"),
        (call("https://models.github.ai/inference", model="openai/gpt-4o"), "openai"),
    ],
)
def test_reasoning_of_others_stays_visible(compiled: Call, provider: str) -> None:
    """OpenAI's translator would hide reasoning text, so other models are not marked as OpenAI's."""
    raw = {"content": "x", "reasoning_content": "hm"}
    answer = {"choices": [{"message": raw, "finish_reason": "stop"}]}
    message = VENDOR.decode_response(compiled, json.dumps(answer).encode(), {})
    assert message.response_metadata["model_provider"] == provider
    if provider == "azure":
        assert message.content_blocks[0] == {"type": "reasoning", "reasoning": "hm"}


def test_responses_paths() -> None:
    """The Responses API has no deployment in its path, and only Azure OpenAI has it."""
    tool = ToolSpec("t", "", {"type": "object"})
    compiled = call(model="gpt-6-luna", tools=[tool])
    assert VENDOR.encode_request(compiled).url.raw_path == b"/openai/v1/responses"
    dated = call(version="2025-04-01-preview", model="gpt-6-luna", tools=[tool])
    assert VENDOR.encode_request(dated).url.raw_path == b"/openai/responses?api-version=2025-04-01-preview"
    # Versions older than the API, and a base URL with the deployment's name: the documented path, without a date.
    for base in (RESOURCE, RESOURCE + "/openai", RESOURCE + "/openai/deployments/prod%20eu"):
        old = call(base, version="2024-10-21", model="gpt-5.2", tools=[tool])
        request = VENDOR.encode_request(old)
        assert request.url.raw_path == b"/openai/v1/responses"
        assert json.loads(request.content)["model"] == ("prod eu" if "prod" in base else "gpt-5.2")
    preview = call(version="preview", model="gpt-5.2", tools=[tool])
    assert VENDOR.encode_request(preview).url.raw_path == b"/openai/v1/responses?api-version=preview"
    foundry = call("https://hub.services.ai.azure.com/models", model="gpt-6-luna", tools=[tool])
    assert VENDOR.encode_request(foundry).url.path == "/models/chat/completions"


def test_asynchronous_filter() -> None:
    """An odd head, choices without delta, and filter results before the end do no harm."""
    chunks = [
        {
            "choices": [],
            "created": 0,
            "id": "",
            "model": "",
            "object": "",
            "prompt_filter_results": [{"prompt_index": 0}],
        },
        {"id": "c1", "created": 1, "model": "gpt-4o", "choices": [{"index": 0, "delta": {"content": "x"}}]},
        {"id": "", "choices": [{"index": 0, "finish_reason": None, "content_filter_results": {"hate": {}}}]},
        {"id": "c1", "choices": [{"index": 0, "delta": {}, "finish_reason": "content_filter"}]},
    ]
    decoder = VENDOR.stream_decoder(call(stream=True), {})
    data = b"".join(f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks)
    text, last = decoder.feed(data + b"data: [DONE]\n\n")
    assert text.content == "x"
    assert last.response_metadata == {
        "model_provider": "openai",
        "model_name": "gpt-4o",
        "finish_reason": "content_filter",
        "normalized_finish_reason": "content_filter",
        "finish_state": "complete",
        "id": "c1",
        "prompt_filter_results": [{"prompt_index": 0}],
        "content_filter_results": {"hate": {}},
    }


def test_filtered_answer_without_message() -> None:
    """Where the filter took everything there may be no message at all."""
    answer = {"choices": [{"finish_reason": "content_filter", "index": 0}]}
    message = VENDOR.decode_response(call(), json.dumps(answer).encode(), {})
    assert (message.content, message.response_metadata["normalized_finish_reason"]) == ("", "content_filter")


@each(
    ("status", "raw", "cls"),
    [
        (
            400,
            {"code": "content_filter", "status": 400, "innererror": {"code": "ResponsibleAIPolicyViolation"}},
            errors.ContentFilterError,
        ),
        (400, {"innererror": {"code": "ResponsibleAIPolicyViolation"}}, errors.ContentFilterError),
        (401, {"code": "401", "message": "Access denied"}, errors.AuthenticationError),
        (404, {"code": "DeploymentNotFound"}, errors.ModelNotFoundError),
        (404, {"code": "404", "message": "Resource not found"}, errors.ModelNotFoundError),
        (424, {}, errors.ServerError),
        (429, {"code": "RateLimitReached"}, errors.RateLimitError),
        (429, {"code": "429"}, errors.RateLimitError),
        (429, {"code": "NoCapacity"}, errors.OverloadedError),
    ],
)
def test_errors(status: int, raw: dict[str, Any], cls: type[errors.VendorError]) -> None:
    """Azure's codes are names or digits in a string."""
    found = VENDOR.decode_error(call(), status, {}, json.dumps({"error": raw}).encode())
    assert type(found) is cls


def test_unknown_limits() -> None:
    """-1 and 0 seconds mean unknown."""
    assert VENDOR.limits({"x-ratelimit-remaining-tokens": "-1", "x-ratelimit-reset-tokens": "0"}) == []


def test_request_id() -> None:
    """Azure's own id is what its support needs."""
    assert VENDOR.request_id({"apim-request-id": "a", "x-request-id": "b"}) == "a"
