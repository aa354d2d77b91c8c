"""The Batch API of OpenAI, Azure and Groq: what the documents state beyond what was recorded."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from pydantic import SecretStr

from langchain_llmdispatch.errors import MalformedResponseError
from langchain_llmdispatch.types import Call, Endpoint
from langchain_llmdispatch.vendors import builtin_vendors
from langchain_llmdispatch.vendors.batches import BatchApi
from tests.cases import each

BASES = {
    "openai": "https://api.openai.com/v1",
    "azure": "https://r.openai.azure.com",
    "compatible": "https://api.groq.com/openai/v1",
}


def api_of(vendor: str, base: str = "", **fields: Any) -> BatchApi:
    """Return a vendor's batch API."""
    endpoint = Endpoint(base or BASES[vendor], SecretStr("sk-key"), **fields)
    found = builtin_vendors()[vendor].batch_api(Call("m", endpoint, ()))
    assert found is not None
    return found


def job(**fields: Any) -> bytes:
    """Return a batch object."""
    return json.dumps({"id": "batch_1", "status": "completed", "created_at": 1, **fields}).encode()


@each(
    ("vendor", "base", "version", "files", "prefix"),
    [
        ("openai", "", None, "https://api.openai.com/v1/files", "/v1/"),
        ("compatible", "", None, "https://api.groq.com/openai/v1/files", "/v1/"),
        ("azure", "", None, "https://r.openai.azure.com/openai/v1/files", "/v1/"),
        (
            "azure",
            "https://r.openai.azure.com/openai/v1",
            None,
            "https://r.openai.azure.com/openai/v1/files",
            "/v1/",
        ),
        (
            "azure",
            "",
            "2025-04-01-preview",
            "https://r.openai.azure.com/openai/files?api-version=2025-04-01-preview",
            "/",
        ),
        ("azure", "", "2024-06-01", "https://r.openai.azure.com/openai/v1/files", "/v1/"),
    ],
)
def test_addresses(vendor: str, base: str, version: str | None, files: str, prefix: str) -> None:
    """A job is created where its file is, and its lines name the same API."""
    api = api_of(vendor, base, api_version=version)
    made = api.upload([b"{}"], "t")
    assert made is not None
    assert str(made.url) == files
    assert str(api.create(f"{prefix}chat/completions m", "t", (), "f").url) == files.replace(
        "/files", "/batches"
    )
    line = api.line(Call("m", api.call.endpoint, [HumanMessage("hi")]), "r1")
    assert line is not None
    assert json.loads(line.text)["url"] == f"{prefix}{line.group.partition(' ')[0].removeprefix(prefix)}"
    assert json.loads(line.text)["body"]["model"] == "m"


def test_keys_are_in_headers() -> None:
    """A bearer; Azure's own header."""
    assert api_of("openai").poll("b").headers["authorization"] == "Bearer sk-key"
    assert api_of("azure").poll("b").headers["api-key"] == "sk-key"
    upload = api_of("azure").upload([b"{}"], "t")
    assert upload is not None
    assert upload.headers["api-key"] == "sk-key"
    assert b"1209600" in upload.content  # files that expire have a larger quota


def test_no_batches_elsewhere() -> None:
    """Other hosts of the format, other services of Azure."""
    vendors = builtin_vendors()
    for vendor, base in [
        ("compatible", "https://api.together.xyz/v1"),
        ("azure", "https://models.github.ai/inference"),
    ]:
        assert vendors[vendor].batch_api(Call("gpt-5", Endpoint(base), ())) is None


STATES: list[tuple[dict[str, Any], str, list[str]]] = [
    ({"status": "validating"}, "running", []),
    ({"status": "InProgress".lower().replace("inp", "in_p")}, "running", []),
    ({"status": "Validating"}, "running", []),  # older versions of Azure
    ({"status": "cancelling", "output_file_id": "o"}, "running", ["o"]),
    ({"status": "completed", "output_file_id": "o", "error_file_id": ""}, "ended", ["o"]),
    ({"status": "completed", "output_file_id": None, "error_file_id": "e"}, "ended", ["e"]),
    ({"status": "expired", "output_file_id": "o", "error_file_id": "e"}, "ended", ["o", "e"]),
    (
        {"status": "failed", "errors": {"data": [{"code": "mismatched_model", "message": "x", "line": 2}]}},
        "ended",
        [],
    ),
    (
        {"status": "failed", "errors": {"data": [{"code": "token_limit_exceeded", "message": "x"}]}},
        "busy",
        [],
    ),
    ({"status": "failed", "errors": [{"code": "token_limit_exceeded"}]}, "busy", []),  # Groq's bare list
]


@each("state", STATES)
def test_states(state: tuple[dict[str, Any], str, list[str]]) -> None:
    """Files are read in every end; empty names are none."""
    fields, expected, results = state
    found = api_of("openai").job(job(**fields))
    assert (found.state, list(found.results)) == (expected, results)


def test_what_is_known_of_a_job() -> None:
    """Our token, the reason, the time in both forms."""
    api = api_of("openai")
    errors = {"data": [{"code": "invalid_url", "message": "no", "line": 3}]}
    found = api.job(job(status="failed", errors=errors, metadata={"llmdispatch": "tok"}))
    assert (found.token, found.reason) == ("tok", "the batch is failed; invalid_url: no (line 3)")
    assert api.job(job(created_at="2026-01-01T00:00:00Z")).created_at == 1767225600
    with pytest.raises(MalformedResponseError, match="the batch has no id"):
        api.job(b"{}")


def test_groq_has_a_cursor_of_its_own() -> None:
    """`paging.next_cursor` goes back as `cursor`."""
    api = api_of("compatible")
    found, cursor = api.jobs(b'{"data": [' + job() + b'], "paging": {"next_cursor": "c1"}}')
    assert [each_.id for each_ in found] == ["batch_1"]
    assert dict(api.recent(cursor).url.params) == {"limit": "100", "cursor": "c1"}


LINES: list[tuple[dict[str, Any], tuple[int | None, bytes, str]]] = [
    ({"response": {"status_code": 200, "body": {"a": 1}}, "error": None}, (200, b'{"a":1}', "")),
    ({"response": {"status_code": 429, "body": {"error": {}}}, "error": None}, (429, b'{"error":{}}', "")),
    ({"response": {"status_code": 400, "body": '{"error":{}}'}}, (400, b'{"error":{}}', "")),
    ({"response": None, "error": {"code": "batch_expired", "message": "x"}}, (None, b"", "batch_expired")),
    ({"response": None, "error": None}, (None, b"", "no response")),
]


@each("line", LINES)
def test_results(line: tuple[dict[str, Any], tuple[int | None, bytes, str]]) -> None:
    """A line succeeded only if its status is one of success, not because its `error` is null."""
    fields, expected = line
    (found,) = api_of("openai").decode(json.dumps({"custom_id": "r1", **fields}).encode())
    assert (found.row_id, (found.status, found.body, found.reason)) == ("r1", expected)


def test_files() -> None:
    """Azure's are pending at first; a failed one is an error."""
    api = api_of("azure")
    assert api.uploaded(b'{"id": "f", "status": "pending"}') == ("f", False)
    assert api.uploaded(b'{"id": "f", "status": "processed"}') == ("f", True)
    with pytest.raises(MalformedResponseError, match="the uploaded file is error"):
        api.uploaded(b'{"id": "f", "status": "error"}')
