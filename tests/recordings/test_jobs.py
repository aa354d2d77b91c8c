"""Every recorded exchange of the vendors' job APIs decodes to what is in it.

They are in the folder `recordings-jobs` beside the one that `LLMDISPATCH_RECORDINGS` names. What is in each is
read here from its JSON; the answers within results are judged by the oracles of live answers. Requests are
judged too: ours go to the recorded addresses, with the recorded fields.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest
from langchain_core.messages import HumanMessage
from pydantic import SecretStr

from langchain_llmdispatch import errors
from langchain_llmdispatch.types import Call, Endpoint
from langchain_llmdispatch.vendors import builtin_vendors
from langchain_llmdispatch.vendors.base import Vendor
from langchain_llmdispatch.vendors.batches import BatchApi
from tests.cases import each
from tests.recordings import anthropic, compatible, google, openai
from tests.recordings.test_recordings import _check_whole

CODECS = builtin_vendors()
BASES = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
    "google": "https://generativelanguage.googleapis.com",
    "compatible": "https://api.groq.com/openai/v1",
    "mistralai": "https://api.mistral.ai/v1",
    "xai": "https://api.x.ai/v1",
}
NAMES = {"gemini": "google", "groq": "compatible", "mistral": "mistralai"}
ORACLES: dict[str, ModuleType] = {
    "openai": openai, "anthropic": anthropic, "google": google, "compatible": compatible,
    "mistralai": compatible, "xai": compatible,
}  # fmt: skip
SKIPPED = {"vertex": "Vertex's batches read and write buckets, which is not done"}
RUNNING = {"validating", "in_progress", "finalizing", "cancelling"}

pytestmark = pytest.mark.recordings


def _folder() -> Path | None:
    name = os.environ.get("LLMDISPATCH_RECORDINGS")
    folder = Path(name).with_name(f"{Path(name).name}-jobs") if name else None
    return folder if folder is not None and folder.is_dir() else None


def _projects() -> Iterator[Any]:
    folder = _folder()
    if folder is None:
        reason = "there is no folder recordings-jobs beside that of LLMDISPATCH_RECORDINGS"
        yield pytest.param("", (), marks=pytest.mark.skip(reason=reason), id="unset")
        return
    projects: dict[str, list[str]] = {}
    for entry in json.loads((folder / "manifest.json").read_text()):
        projects.setdefault(entry["file"].rpartition("/")[0], []).append(entry["file"])
    for project, files in projects.items():
        yield pytest.param(project.partition("/")[0], files, id=project)


@pytest.mark.parametrize(("vendor", "files"), list(_projects()))
def test_jobs(vendor: str, files: list[str]) -> None:
    """Jobs, files, lists, results, counts and answers in the background."""
    each("file", files)(_check)(vendor=NAMES.get(vendor, vendor))
    if (reason := _all_skipped(vendor, files)) is not None:
        pytest.skip(reason)


def _all_skipped(vendor: str, files: list[str]) -> str | None:
    return SKIPPED.get(vendor) if all("counttokens" not in file for file in files) else None


def _check(vendor: str, file: str) -> None:
    folder = _folder()
    assert folder is not None
    exchange = json.loads((folder / file).read_text())
    if vendor in SKIPPED and exchange["api"] != "countTokens":
        return
    vendor = {"vertex": "google"}.get(vendor, vendor)
    codec, call = CODECS[vendor], _call(vendor, exchange)
    response, kind = exchange["response"], exchange["kind"] if "kind" in exchange else exchange["scenario"]
    if response["status"] != 200:
        _check_refused(codec, call, response)
        return
    api = codec.batch_api(call)
    assert api is not None
    _CHECKS[exchange["api"]](codec, call, api, exchange, kind.partition(" ")[0])


def _call(vendor: str, exchange: dict[str, Any]) -> Call:
    api = exchange["api"]
    responses = "responses" in api or "responses" in json.dumps(exchange["scenario"]) or "/v1/responses" in str(
        exchange["request"].get("body")
    )  # fmt: skip
    extra = {"use_responses_api": True} if vendor == "openai" and responses else {}
    endpoint = Endpoint(BASES[vendor], SecretStr("key-of-tests"))
    model = {"openai": "gpt-5-nano", "google": "gemini-2.5-flash"}.get(vendor, "the-model")
    return Call(model, endpoint, [HumanMessage("hello")], extra=extra)


def _check_refused(codec: Vendor, call: Call, response: dict[str, Any]) -> None:
    error = codec.decode_error(call, response["status"], response["headers"], response["body"].encode())
    classes = {401: errors.AuthenticationError, 404: errors.ModelNotFoundError}
    assert type(error) is classes[response["status"]]
    assert error.status_code == response["status"]


# -- jobs ----------------------------------------------------------------------------------------------


def _same_address(made: Any, exchange: dict[str, Any]) -> None:
    sent = exchange["request"]
    assert (made.method, made.url.path) == (sent["method"], urlsplit(sent["url"]).path)


def _check_openai_job(codec: Vendor, call: Call, api: BatchApi, exchange: dict[str, Any], kind: str) -> None:
    body, sent = exchange["response"]["body"].encode(), exchange["request"]
    document = json.loads(body)
    if kind == "list":
        found, cursor = api.jobs(body)
        assert [job.id for job in found] == [each["id"] for each in document["data"]]
        assert cursor == (f"after={document['last_id']}" if document["has_more"] else "")
        for job, whole in zip(found, document["data"], strict=True):
            _check_openai_object(job, whole)
        assert api.recent("").url.path == urlsplit(sent["url"]).path
        return
    job = api.job(body)
    _check_openai_object(job, document)
    if kind == "create":
        made = api.create(f"{document['endpoint']} m", "t", (), document["input_file_id"])
        ours, theirs = json.loads(made.content), sent["body"]
        theirs = json.loads(theirs) if isinstance(theirs, str) else theirs
        assert {name: ours[name] for name in theirs if name != "metadata"} == {
            name: value for name, value in theirs.items() if name != "metadata"
        }
        _same_address(made, exchange)
    else:
        _same_address(api.cancel(job.id) if kind == "cancel" else api.poll(job.id), exchange)


def _check_openai_object(job: Any, document: dict[str, Any]) -> None:
    assert (job.id, job.created_at) == (document["id"], document["created_at"])
    assert job.state == ("running" if document["status"] in RUNNING else "ended")
    assert list(job.results) == [document[n] for n in ("output_file_id", "error_file_id") if document.get(n)]
    assert job.rows == (document["request_counts"]["total"] or None)
    assert job.token == ""


def _check_file(codec: Vendor, call: Call, api: BatchApi, exchange: dict[str, Any], kind: str) -> None:
    body, sent = exchange["response"]["body"], exchange["request"]
    if kind == "results":
        _check_results(codec, api, exchange, body.splitlines())
        if codec.name != "google":
            _same_address(api.results("", urlsplit(sent["url"]).path.split("/")[-2]), exchange)
        return
    document = json.loads(body)
    assert api.uploaded(body.encode()) == (document["id"], document["status"] == "processed")
    if kind == "file-status":
        _same_address(api.check_file(document["id"]), exchange)
        return
    made = api.upload([b'{"custom_id":"0"}'], "t")
    assert made is not None
    _same_address(made, exchange)
    assert b'name="purpose"\r\n\r\nbatch\r\n' in made.content
    assert b'filename="t.jsonl"' in made.content


def _check_anthropic_job(
    codec: Vendor, call: Call, api: BatchApi, exchange: dict[str, Any], kind: str
) -> None:
    body, sent = exchange["response"]["body"], exchange["request"]
    if kind == "results":
        _check_results(codec, api, exchange, body.splitlines())
        _same_address(api.results(urlsplit(sent["url"]).path.split("/")[-2], "results"), exchange)
        return
    document = json.loads(body)
    if kind == "list":
        found, cursor = api.jobs(body.encode())
        assert [job.id for job in found] == [each["id"] for each in document["data"]]
        assert cursor == (document["last_id"] if document["has_more"] else "")
        _same_address(api.recent(""), exchange)
        return
    job = api.job(body.encode())
    assert job.id == document["id"]
    assert job.state == ("ended" if document["processing_status"] == "ended" else "running")
    assert job.rows == sum(document["request_counts"].values())
    if kind == "create":
        made = api.create("", "t", [b'{"custom_id":"0","params":{}}'], "")
        assert json.loads(made.content).keys() == sent["body"].keys()
        assert json.loads(made.content)["requests"][0].keys() == sent["body"]["requests"][0].keys()
    else:
        made = api.cancel(job.id) if kind == "cancel" else api.poll(job.id)
    _same_address(made, exchange)


def _check_google_job(codec: Vendor, call: Call, api: BatchApi, exchange: dict[str, Any], kind: str) -> None:
    body = exchange["response"]["body"]
    document = json.loads(body)
    job = api.job(body.encode())
    assert (job.id, job.token) == (document["name"], document["metadata"]["displayName"])
    assert job.rows == int(document["metadata"]["batchStats"]["requestCount"])
    assert job.state == ("ended" if document.get("done") else "running")
    assert list(job.results) == (["inline"] if document.get("done") else [])
    if kind == "create":
        made = api.create(document["metadata"]["model"], "t", [b'{"request":{}}'], "")
        ours, theirs = json.loads(made.content)["batch"], exchange["request"]["body"]["batch"]
        assert ours.keys() == theirs.keys()
        assert ours["inputConfig"]["requests"].keys() == theirs["inputConfig"]["requests"].keys()
        _same_address(made, exchange)
        return
    _same_address(api.poll(job.id), exchange)
    if job.results:
        inline = document["response"]["inlinedResponses"]["inlinedResponses"]
        lines = [{"custom_id": item["metadata"]["custom_id"], "inner": item["response"]} for item in inline]
        found = list(api.decode(body.encode()))
        assert [result.row_id for result in found] == [line["custom_id"] for line in lines]
        for result, line in zip(found, lines, strict=True):
            _check_answer(codec, exchange, result, line["inner"])


def _check_mistral_job(codec: Vendor, call: Call, api: BatchApi, exchange: dict[str, Any], kind: str) -> None:
    body = exchange["response"]["body"].encode()
    document, job = json.loads(body), api.job(body)
    assert (job.id, job.created_at, job.token) == (document["id"], document["created_at"], "")
    assert job.state == ("ended" if document["status"] == "SUCCESS" else "running")
    assert list(job.results) == [document[n] for n in ("output_file", "error_file") if document[n]]
    assert job.rows == (document["total_requests"] or None)
    if kind != "create":
        _same_address(api.poll(job.id), exchange)
        lines = [json.dumps(line) for line in document["outputs"] or ()]  # as those of its file
        _check_results(codec, api, exchange, lines)
        return
    made = api.create(f"{document['endpoint']} {document['model']}", "t", (), "f")
    _same_address(made, exchange)
    ours, theirs = json.loads(made.content), exchange["request"]["body"]
    assert (ours["endpoint"], ours["model"]) == (theirs["endpoint"], theirs["model"])
    line = json.loads(api.line(call, "0").text)
    assert (line.keys(), "model" in line["body"]) == (theirs["requests"][0].keys(), False)


def _check_xai_job(codec: Vendor, call: Call, api: BatchApi, exchange: dict[str, Any], kind: str) -> None:
    body = exchange["response"]["body"].encode()
    document = json.loads(body)
    if kind == "results":
        _same_address(
            api.results(urlsplit(exchange["request"]["url"]).path.split("/")[-2], "results"), exchange
        )
        for result, item in zip(api.decode(body), document["results"], strict=True):
            assert result.row_id == item["batch_request_id"]
            _check_answer(codec, exchange, result, item["batch_result"]["response"]["chat_get_completion"])
        assert api.following(body) == (document.get("pagination_token") or "")
    elif kind != "add-requests":  # a file is uploaded instead
        job = api.job(body)
        assert (job.id, job.token, job.state) == (document["batch_id"], document["name"], "running")
        assert job.rows == (document["state"]["num_requests"] or None)
        _same_address(api.create("", "t", (), "f") if kind == "create" else api.poll(job.id), exchange)


# -- results -------------------------------------------------------------------------------------------


def _check_results(codec: Vendor, api: BatchApi, exchange: dict[str, Any], lines: list[str]) -> None:
    for line in lines:
        document = json.loads(line)
        (result,) = api.decode(line.encode())
        assert result.row_id == document.get("custom_id", document.get("key"))
        _check_answer(codec, exchange, result, _inner(document))


def _inner(document: dict[str, Any]) -> dict[str, Any]:
    """Return the answer in a line of results."""
    if "result" in document:
        return dict(document["result"]["message"])
    response = document["response"]
    return dict(response.get("body", response))


def _check_answer(codec: Vendor, exchange: dict[str, Any], result: Any, inner: dict[str, Any]) -> None:
    assert result.status == 200
    assert json.loads(result.body) == inner
    api = {"anthropic": "messages", "google": "generateContent"}.get(codec.name, "chat.completions")
    api = "responses" if inner.get("object") == "response" else api
    model = inner.get("model") or inner.get("modelVersion")
    url = f"https://x.test/v1beta/models/{model}:generateContent"
    live = {
        **exchange,
        "api": api,
        "request": {"url": url, "headers": {}, "body": {"model": model}},
        "response": {"status": 200, "headers": {}, "body": json.dumps(inner)},
    }
    oracle = ORACLES[codec.name]
    expected = oracle.expected(live)
    _check_whole(codec, oracle.call(live), live["response"], replace(expected, metadata={}))


# -- counts, answers in the background -----------------------------------------------------------------


def _check_count(codec: Vendor, call: Call, api: BatchApi, exchange: dict[str, Any], kind: str) -> None:
    body = exchange["response"]["body"]
    assert codec.decode_count(body.encode()) == json.loads(body)[codec.count_field or ""]


def _check_background(codec: Vendor, call: Call, api: BatchApi, exchange: dict[str, Any], kind: str) -> None:
    body, call = (
        exchange["response"]["body"],
        replace(call, extra={"background": True, "use_responses_api": True}),
    )
    background = codec.background(call)
    assert background is not None
    if not body.lstrip().startswith("{"):
        decoder = codec.stream_decoder(replace(call, stream=True), {})
        chunks = [*decoder.feed(body.encode()), *decoder.close()]
        assert chunks[-1].chunk_position == "last"
        assert chunks[-1].response_metadata["id"] in body
        return
    document = json.loads(body)
    if document["status"] == "cancelled":
        with pytest.raises(errors.VendorError):
            codec.decode_response(call, body.encode(), {})
        return
    message = codec.decode_response(call, body.encode(), {})
    waits = document["status"] in {"queued", "in_progress"}
    assert background.pending(message) == (document["id"] if waits else None)


_BATCHES = {"google": _check_google_job, "xai": _check_xai_job}
_CHECKS = {
    "batches": lambda codec, *rest: _BATCHES.get(codec.name, _check_openai_job)(codec, *rest),
    "batch.jobs": _check_mistral_job,
    "batchGenerateContent": _check_google_job,
    "message_batches": _check_anthropic_job,
    "files": _check_file,
    "countTokens": _check_count,
    "count_tokens": _check_count,
    "responses.input_tokens": _check_count,
    "responses.background": _check_background,
}
