"""Mistral's and xAI's batches: what the documents state beyond what was recorded."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from pydantic import SecretStr

from langchain_llmdispatch.types import Call, Endpoint
from langchain_llmdispatch.vendors import builtin_vendors
from langchain_llmdispatch.vendors.batches import BatchApi, BatchResult
from tests.cases import each


def api_of(vendor: str, base: str) -> BatchApi:
    """Return a host's batch API."""
    call = Call("m", Endpoint(base, SecretStr("sk-key")), ())
    found = builtin_vendors()[vendor].batch_api(call)
    assert found is not None
    return found


MISTRAL = api_of("mistralai", "https://api.mistral.ai/v1")
XAI = api_of("xai", "https://api.x.ai/v1")


@each(
    ("status", "state"),
    [
        ("QUEUED", "running"),
        ("RUNNING", "running"),
        ("CANCELLATION_REQUESTED", "running"),
        ("SUCCESS", "ended"),
        ("FAILED", "ended"),
        ("TIMEOUT_EXCEEDED", "ended"),
        ("CANCELLED", "ended"),
    ],
)
def test_states_of_mistral(status: str, state: str) -> None:
    """Whatever came of it, its files are read."""
    body = {"id": "j", "status": status, "created_at": 5, "output_file": "o", "error_file": None}
    job = MISTRAL.job(json.dumps({**body, "errors": [{"message": "bad", "count": 2}]}).encode())
    assert (job.state, job.results, job.created_at) == (state, ("o",), 5.0)
    assert job.reason == f"the batch is {status.lower()}; bad"


def test_pages_of_mistral() -> None:
    """By number, until one is empty."""
    assert MISTRAL.recent("").url.query == b"page=0&page_size=100&order_by=-created"
    page = json.dumps({"data": [{"id": "j", "status": "RUNNING", "metadata": {"llmdispatch": "t"}}]}).encode()
    found, cursor = MISTRAL.jobs(page, "3")
    assert ([job.token for job in found], cursor) == (["t"], "4")
    assert MISTRAL.recent(cursor).url.params["page"] == "4"
    assert MISTRAL.jobs(b'{"data": [], "total": 1}', "4") == ([], "")


def test_requests_of_mistral() -> None:
    """The model is the job's, not the lines'."""
    call = Call("mistral-small", Endpoint("https://api.mistral.ai/v1"), [HumanMessage("hi")])
    line = MISTRAL.line(call, "r1")
    assert line is not None
    assert line.group == "/v1/chat/completions mistral-small"
    assert json.loads(line.text)["body"].keys() == {"messages"}
    made = json.loads(MISTRAL.create(line.group, "tok", (), "f1").content)
    assert made == {
        "endpoint": "/v1/chat/completions",
        "model": "mistral-small",
        "input_files": ["f1"],
        "metadata": {"llmdispatch": "tok"},
        "timeout_hours": 24,
    }
    assert str(MISTRAL.cancel("a/b").url) == "https://api.mistral.ai/v1/batch/jobs/a%2Fb/cancel"


@each(
    ("facts", "state"),
    [
        ({"state": {"num_requests": 0, "num_pending": 0}}, "running"),  # the file is being read
        ({"state": {"num_requests": 2, "num_pending": 1}}, "running"),
        ({"state": {"num_requests": 2, "num_pending": 0}}, "ended"),
        ({"state": {"num_requests": 2, "num_pending": 1}, "cancel_time": "2026-08-10"}, "running"),
        ({"state": {"num_requests": 0}, "cancel_time": "2026-08-10"}, "ended"),
        ({"state": None, "cancel_by_xai_message": "no such file"}, "ended"),
    ],
)
def test_states_of_xai(facts: dict[str, Any], state: str) -> None:
    """Counters, and what cancelled it."""
    job = XAI.job(json.dumps({"batch_id": "b", "name": "t", "create_time": "2026-08-10", **facts}).encode())
    assert (job.id, job.token, job.state, job.created_at) == ("b", "t", state, None)
    assert job.results == (
        ("results",) if state == "ended" and facts["state"] and facts["state"]["num_requests"] else ()
    )


def test_pages_of_xai() -> None:
    """Of jobs and of results, by a token."""
    found, cursor = XAI.jobs(b'{"batches": [{"batch_id": "b", "name": "t"}], "pagination_token": "p/2"}')
    assert ([job.token for job in found], cursor) == (["t"], "p/2")
    assert XAI.recent(cursor).url.params["pagination_token"] == "p/2"
    assert "pagination_token" not in XAI.results("b", "results").url.params
    assert XAI.results("b", "p2").url.params["pagination_token"] == "p2"
    assert XAI.following(b'{"results": [], "pagination_token": "p2"}') == ""


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"error": {"code": 8, "message": "slow"}}, 429),
        ({"error": {"code": 400, "message": "bad"}}, 400),
        ({"error": {"message": "odd"}}, None),
        ({"response": {}}, None),
        (None, None),
    ],
)
def test_failed_results_of_xai(result: Any, expected: int | None) -> None:
    """Codes of gRPC or of HTTP; without one the request was not run."""
    body = json.dumps({"results": [{"batch_request_id": "r", "batch_result": result}]}).encode()
    (found,) = XAI.decode(body)
    assert isinstance(found, BatchResult)
    assert (found.row_id, found.status) == ("r", expected)
    assert expected is not None or found.reason


def test_other_hosts_have_none() -> None:
    """Their batch APIs differ, or are not known; `compatible` has that of the host it addresses."""
    compatible = builtin_vendors()["compatible"]
    for base, has in [("https://api.x.ai/v1", True), ("https://api.together.xyz/v1", False)]:
        assert (compatible.batch_api(Call("m", Endpoint(base), ())) is not None) is has
    assert builtin_vendors()["together"].batch_api(Call("m", Endpoint("https://api.x.ai/v1"), ())) is None
