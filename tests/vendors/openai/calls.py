"""Calls and answers that the tests of OpenAI share."""

from __future__ import annotations

import json
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
)
from pydantic import SecretStr

from langchain_llmdispatch import errors
from langchain_llmdispatch.types import Call, Endpoint
from langchain_llmdispatch.vendors.openai.vendor import OpenAIVendor

VENDOR = OpenAIVendor()
KEY = "sk-proj-not-a-real-key"
HI: list[BaseMessage] = [HumanMessage("Hi")]


def call(messages: list[BaseMessage] | None = None, **fields: Any) -> Call:
    """Return a call of a model that needs no other API."""
    endpoint = fields.pop("endpoint", Endpoint("https://api.openai.com/v1", SecretStr(KEY)))
    return Call(fields.pop("model", "gpt-4.1"), endpoint, messages or HI, **fields)


def body(compiled: Call) -> dict[str, Any]:
    """Return the JSON body of the request for `compiled`."""
    return json.loads(VENDOR.encode_request(compiled).content)


def reply(choice: dict[str, Any], **fields: Any) -> bytes:
    """Return a chat completion's body."""
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4.1-2025-04-14"}
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    return json.dumps({**head, "choices": [{"index": 0, **choice}], "usage": usage, **fields}).encode()


def decoded(message: dict[str, Any], finish: str | None = "stop", **fields: Any) -> AIMessage:
    """Return what is decoded from an answer with `message`."""
    answer = reply({"message": {"role": "assistant", **message}, "finish_reason": finish}, **fields)
    return VENDOR.decode_response(call(), answer, {})


def error(
    status: int, text: str | dict[str, Any], headers: dict[str, str] | None = None
) -> errors.VendorError:
    """Return the error that a response means."""
    data = text if isinstance(text, str) else json.dumps({"error": text})
    return VENDOR.decode_error(call(), status, headers or {}, data.encode())
