"""Calls that the tests of the Responses API share."""

from __future__ import annotations

import json
from typing import Any

from langchain_core.messages import (
    BaseMessage,
    HumanMessage,
)
from pydantic import SecretStr

from langchain_llmdispatch.types import Call, Endpoint
from langchain_llmdispatch.vendors.openai.vendor import OpenAIVendor

VENDOR = OpenAIVendor()
HI: list[BaseMessage] = [HumanMessage("Hi")]
HERE = {"use_responses_api": True}


def call(messages: list[BaseMessage] | None = None, **fields: Any) -> Call:
    """Return a call that goes to the Responses API."""
    endpoint = Endpoint("https://api.openai.com/v1", SecretStr("sk-not-a-real-key"))
    fields["extra"] = {**HERE, **fields.get("extra", {})}
    return Call(fields.pop("model", "gpt-4.1"), endpoint, messages or HI, **fields)


def body(compiled: Call) -> dict[str, Any]:
    """Return the JSON body of the request for `compiled`."""
    return json.loads(VENDOR.encode_request(compiled).content)


def items(*messages: BaseMessage, **fields: Any) -> list[dict[str, Any]]:
    """Return the input items for messages."""
    return body(call(list(messages), **fields))["input"]
