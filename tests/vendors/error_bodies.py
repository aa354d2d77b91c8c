"""An error's text in the form of each vendor: as a response's body, and as an event of a stream."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from langchain_llmdispatch.errors import VendorError
from tests.vendors.samples import SAMPLES, Sample

Body = dict[str, Any]

WHOLE: dict[str, Callable[[str], Body]] = {
    "openai": lambda text: {
        "error": {"message": text, "type": "invalid_request_error", "param": None, "code": None}
    },
    "responses": lambda text: {"error": {"message": text, "type": "invalid_request_error", "code": None}},
    "anthropic": lambda text: {"type": "error", "error": {"type": "invalid_request_error", "message": text}},
    "google": lambda text: {"error": {"code": 400, "message": text, "status": "INVALID_ARGUMENT"}},
    "cohere": lambda text: {"id": "e1", "message": text},
    "ollama": lambda text: {"error": text},
}
"""Bodies of a 400."""

GATEWAYS: dict[str, Callable[[str], Any]] = {
    "vLLM": lambda text: {
        "object": "error",
        "message": text,
        "type": "BadRequestError",
        "param": None,
        "code": 400,
    },
    "FastAPI, a text": lambda text: {"detail": text},
    "FastAPI, an object": lambda text: {"detail": {"error": {"message": text, "code": 400}}},
    "FastAPI, pydantic's": lambda text: {
        "detail": [
            {"loc": ["body", "messages"], "msg": text, "type": "value_error", "input": {"secret": "prompt"}}
        ]
    },
    "OpenRouter": lambda text: {
        "error": {
            "message": "Provider returned error",
            "code": 400,
            "metadata": {"raw": json.dumps({"error": {"message": text, "code": 400}}), "provider_name": "X"},
        }
    },
    "Databricks": lambda text: {"error_code": "BAD_REQUEST", "message": text},
    "watsonx": lambda text: {"errors": [{"code": "invalid_input_argument", "message": text}], "trace": "t"},
    "a list": lambda text: [{"error": {"message": text}}],
    "JSON in a text": lambda text: {"error": {"message": json.dumps({"error": {"message": text}})}},
    "a text": lambda text: text,
}
"""Bodies that a gateway or a proxy sends for any vendor."""

EVENTS: dict[str, Callable[[str], Body]] = {
    **WHOLE,
    "responses": lambda text: {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": text, "code": None},
    },
    "cohere": lambda text: {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": text}},
}
"""Events of a stream that began with status 200."""


def refusal(vendor: str, body: Any, status: int = 400, headers: dict[str, str] | None = None) -> VendorError:
    """Return the error that a body means to a vendor's codec."""
    sample: Sample = SAMPLES[vendor]
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return sample.codec.decode_error(sample.call(), status, headers or {}, raw)


def interruption(vendor: str, event: Body) -> VendorError:
    """Return the error that an event of a stream means to a vendor's decoder.

    Raises:
        AssertionError: The decoder took it for an answer.
    """
    sample: Sample = SAMPLES[vendor]
    decoder = sample.codec.stream_decoder(sample.call(stream=True), {})
    try:
        decoder.feed(sample.frame(event))
        decoder.close()
    except VendorError as error:
        return error
    raise AssertionError("no error")
