"""Gemini's batches: states in both spellings, results by key, errors by google.rpc's codes."""

from __future__ import annotations

import json
from typing import Any

from langchain_core.messages import HumanMessage
from pydantic import SecretStr

from langchain_llmdispatch.types import Call, Endpoint
from langchain_llmdispatch.vendors import builtin_vendors
from tests.cases import each

ENDPOINT = Endpoint("https://generativelanguage.googleapis.com", SecretStr("key"))


def api(model: str = "gemini-2.5-flash") -> Any:
    """Return the batch API."""
    return builtin_vendors()["google"].batch_api(Call(model, ENDPOINT, ()))


STATES: list[tuple[dict[str, Any], str]] = [
    ({"metadata": {"state": "BATCH_STATE_PENDING"}}, "running"),
    ({"metadata": {"state": "JOB_STATE_RUNNING"}}, "running"),
    ({"metadata": {"state": "JOB_STATE_SUCCEEDED"}}, "ended"),
    ({"metadata": {"state": "BATCH_STATE_EXPIRED"}}, "ended"),
    ({"done": True, "error": {"code": 13, "message": "cancelled"}}, "ended"),
]


@each("state", STATES)
def test_states(state: tuple[dict[str, Any], str]) -> None:
    """With either prefix, or `done`."""
    fields, expected = state
    assert api().job(json.dumps({"name": "batches/1", **fields}).encode()).state == expected


def test_results_are_matched_by_key() -> None:
    """One without a key belongs to no row."""
    items = [
        {"response": {"candidates": []}, "metadata": {"key": "b"}},
        {"error": {"code": 8, "message": "much"}, "metadata": {"key": "a"}},
        {"response": {}},
        {"error": {}, "metadata": {"key": "c"}},
    ]
    body = {"response": {"inlinedResponses": {"inlinedResponses": items}}}
    found = [(each_.row_id, each_.status) for each_ in api().decode(json.dumps(body).encode())]
    assert found == [("b", 200), ("a", 429), ("", 200), ("c", None)]


def test_the_body_is_that_of_a_live_call() -> None:
    """Inline, with our token as its name; the key travels in a header."""
    vendor, call = builtin_vendors()["google"], Call("gemini-2.5-flash", ENDPOINT, [HumanMessage("hi")])
    line = api().line(call, "r1")
    assert json.loads(line.text)["request"] == json.loads(vendor.encode_request(call).content)
    made = api().create(line.group, "tok", [line.text], "")
    assert made.url.path == "/v1beta/models/gemini-2.5-flash:batchGenerateContent"
    assert json.loads(made.content)["batch"]["displayName"] == "tok"
    assert (made.headers["x-goog-api-key"], made.url.query) == ("key", b"")


def test_vertex_is_left_out() -> None:
    """Its batches read and write buckets."""
    assert api("publishers/google/models/gemini-2.5-flash") is None
