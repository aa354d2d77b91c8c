"""Message Batches: ids, beta features, results of every type."""

from __future__ import annotations

import json
from typing import Any

from langchain_core.messages import HumanMessage
from pydantic import SecretStr

from langchain_llmdispatch.types import Call, Endpoint
from langchain_llmdispatch.vendors import builtin_vendors
from tests.cases import each

ENDPOINT = Endpoint("https://api.anthropic.com", SecretStr("sk-ant-api-x"))


def api() -> Any:
    """Return the batch API."""
    return builtin_vendors()["anthropic"].batch_api(Call("claude-haiku-4-5", ENDPOINT, ()))


def test_beta_features_are_of_the_whole_job() -> None:
    """Lines with the same features are in one group; the creation names them."""
    plain = api().line(
        Call("claude-haiku-4-5", ENDPOINT, [HumanMessage("hi")], params={"max_tokens": 9}), "r1"
    )
    call = Call(
        "claude-haiku-4-5", ENDPOINT, [HumanMessage("hi")], extra={"betas": ["one", "two"]}, stream=True
    )
    line = api().line(call, "r2")
    assert (plain.group, line.group) == ("", "one,two")
    assert "stream" not in json.loads(line.text)["params"]
    assert api().create(line.group, "t", [line.text], "").headers["anthropic-beta"] == "one,two"
    made = api().create("", "t", [plain.text], "")
    assert "anthropic-beta" not in made.headers
    assert made.headers["x-api-key"] == "sk-ant-api-x"
    assert json.loads(made.content)["requests"][0]["custom_id"] == "r1"


RESULTS: list[tuple[dict[str, Any], int | None, str]] = [
    ({"type": "succeeded", "message": {"id": "m"}}, 200, ""),
    ({"type": "errored", "error": {"type": "error", "error": {"type": "overloaded_error"}}}, 529, ""),
    ({"type": "errored", "error": {"type": "error", "error": {"type": "invalid_request_error"}}}, 400, ""),
    ({"type": "errored", "error": {"type": "error", "error": {"type": "new_error"}}}, 500, ""),
    ({"type": "canceled"}, None, "canceled"),
    ({"type": "expired"}, None, "expired"),
]


@each("result", RESULTS)
def test_results(result: tuple[dict[str, Any], int | None, str]) -> None:
    """Errors have the status that a live call has; what was not run has none."""
    fields, status, reason = result
    (found,) = api().decode(json.dumps({"custom_id": "r1", "result": fields}).encode())
    assert (found.row_id, found.status, found.reason) == ("r1", status, reason)


def test_the_key_goes_to_no_address_from_an_answer() -> None:
    """`results_url` is not followed."""
    job = api().job(b'{"id": "b", "processing_status": "ended", "results_url": "https://evil.example/"}')
    assert (
        str(api().results("b", job.results[0]).url)
        == "https://api.anthropic.com/v1/messages/batches/b/results"
    )
