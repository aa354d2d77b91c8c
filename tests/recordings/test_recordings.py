"""Every recorded exchange decodes to what is in it: whole, byte by byte, in random pieces, and cut off.

One item is the recordings of one project with one vendor; a failure names its file. What must be found comes
from the vendor's oracle in `tests/recordings`, which reads the bytes without our codecs. An oracle module has
`expected(exchange)`, `call(exchange)`, and may have `FOLDERS` (where its recordings are, each with the APIs that
are its own there, or None for all; by default the folder of its name), and `SKIPPED` (by API, why it is none of
the codec's) or `skipped(exchange)`, which returns that.
"""

from __future__ import annotations

import importlib
import json
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.outputs import ChatGenerationChunk

from langchain_llmdispatch.errors import DispatchError, VendorError
from langchain_llmdispatch.vendors import builtin_vendors
from langchain_llmdispatch.vendors.base import Vendor
from tests.block_events import assert_same, events_of, message_of_chunks, message_of_events
from tests.cases import each
from tests.models import VENDORS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import ModuleType

    from langchain_core.messages import AIMessage, AIMessageChunk

    from langchain_llmdispatch.types import Call
    from tests.recordings.expected import Expected

CODECS = builtin_vendors()
CUTS = 6
LONG = 20_000
"""Bodies above this are fed byte by byte only in part: a codec has seen all it can see by then."""

pytestmark = pytest.mark.recordings


def _root() -> Path | None:
    name = os.environ.get("LLMDISPATCH_RECORDINGS")
    return Path(name) if name else None


def _oracle(vendor: str) -> ModuleType:
    return importlib.import_module(f"tests.recordings.{vendor}")


def _recordings() -> Iterator[Any]:
    root = _root()
    if root is None:
        reason = "LLMDISPATCH_RECORDINGS names no directory of recordings"
        yield pytest.param("", (), marks=pytest.mark.skip(reason=reason), id="unset")
        return
    manifest = json.loads((root / "manifest.json").read_text())
    for vendor in VENDORS:
        folders = getattr(_oracle(vendor), "FOLDERS", {vendor: None})
        projects: dict[str, list[str]] = {}
        for entry in manifest:
            folder = entry["file"].split("/")[0]
            if folder in folders and (folders[folder] is None or entry["api"] in folders[folder]):
                projects.setdefault(entry["file"].rpartition("/")[0], []).append(entry["file"])
        for project, files in projects.items():
            yield pytest.param(vendor, files, id=f"{vendor}:{project}")


@pytest.mark.parametrize(("vendor", "files"), list(_recordings()))
def test_recordings(vendor: str, files: Sequence[str]) -> None:
    """The codec finds in the recorded bytes what the oracle finds."""
    skipped: list[str] = []
    each("file", files)(_check_recording)(vendor=vendor, skipped=skipped)
    if len(skipped) == len(files):
        pytest.skip("; ".join(sorted(set(skipped))))


def _check_recording(vendor: str, file: str, skipped: list[str]) -> None:
    root = _root()
    assert root is not None
    oracle, codec = _oracle(vendor), CODECS[vendor]
    exchange = json.loads((root / file).read_text())
    if reason := _reason(oracle, exchange):
        skipped.append(f"{vendor} {exchange['api']}: {reason}")
        return
    expected, call = oracle.expected(exchange), oracle.call(exchange)
    if exchange["response"]["status"] != 200:
        _check_refusal(codec, call, exchange["response"], expected)
    elif call.stream:
        _check_stream(codec, call, exchange["response"], expected)
    else:
        _check_whole(codec, call, exchange["response"], expected)


def _reason(oracle: ModuleType, exchange: dict[str, Any]) -> str | None:
    """Return why an exchange is none of the codec's, or None."""
    if skipped := getattr(oracle, "skipped", None):
        return skipped(exchange)
    return getattr(oracle, "SKIPPED", {}).get(exchange["api"])


# -- the three kinds of answers ------------------------------------------------------------------------


def _headers(response: dict[str, Any]) -> dict[str, str]:
    return {name.lower(): value for name, value in (response["headers"] or {}).items()}


def _check_refusal(codec: Vendor, call: Call, response: dict[str, Any], expected: Expected) -> None:
    error = codec.decode_error(call, response["status"], _headers(response), response["body"].encode())
    _check_error(codec, error, expected)
    assert error.status_code == response["status"]


def _check_error(codec: Vendor, error: DispatchError, expected: Expected) -> None:
    assert expected.error is not None, repr(error)
    assert type(error) is expected.error, repr(error)
    assert error.vendor == codec.name
    assert error.message
    if expected.retryable is not None:
        assert error.is_retryable is expected.retryable
    if expected.retry_after is not None:
        assert error.retry_after == pytest.approx(expected.retry_after)


def _check_whole(codec: Vendor, call: Call, response: dict[str, Any], expected: Expected) -> None:
    body, headers = response["body"].encode(), _headers(response)
    if expected.error is not None:
        with pytest.raises(DispatchError) as raised:
            codec.decode_response(call, body, headers)
        _check_error(codec, raised.value, expected)
        return
    message = codec.decode_response(call, body, headers)
    _check_message(codec, message, expected)
    assert len(message.invalid_tool_calls) == expected.invalid_tool_calls
    with pytest.raises(VendorError):
        codec.decode_response(call, body.rstrip()[: len(body) // 2], headers)


def _check_stream(codec: Vendor, call: Call, response: dict[str, Any], expected: Expected) -> None:
    body, headers = response["body"].encode(), _headers(response)
    rng = random.Random(len(body))
    whole = _outcome(codec, call, headers, [body])
    assert _same(whole, _outcome(codec, call, headers, _bytes(body)))
    assert _same(whole, _outcome(codec, call, headers, _pieces(body, rng)))
    if isinstance(whole, DispatchError):
        _check_error(codec, whole, expected)
        return
    assert expected.error is None, f"should have raised {expected.error}"
    _check_message(codec, whole, expected)
    _check_events(_chunks(codec, call, headers, [body]))
    for _ in range(CUTS):
        _check_cut(codec, call, headers, body[: rng.randrange(len(body))], whole)


def _check_events(chunks: list[AIMessageChunk]) -> None:
    """Content-block events give the message that the chunks give."""
    given = [ChatGenerationChunk(message=chunk) for chunk in chunks]
    assert_same(message_of_chunks(given), message_of_events(events_of(given)))


def _bytes(body: bytes) -> list[bytes]:
    single = [body[i : i + 1] for i in range(min(len(body), LONG))]
    return [*single, body[LONG:]] if len(body) > LONG else single


def _pieces(body: bytes, rng: random.Random) -> list[bytes]:
    cuts = sorted(rng.randrange(len(body)) for _ in range(len(body) // 64))
    return [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]


# -- streams -------------------------------------------------------------------------------------------


def _chunks(
    codec: Vendor, call: Call, headers: Mapping[str, str], pieces: list[bytes]
) -> list[AIMessageChunk]:
    decoder = codec.stream_decoder(call, headers)
    chunks = []
    for piece in pieces:
        chunks += decoder.feed(piece)
        if decoder.done:
            assert decoder.finished
    chunks += decoder.close()
    assert decoder.finished
    return chunks


def _outcome(
    codec: Vendor, call: Call, headers: Mapping[str, str], pieces: list[bytes]
) -> AIMessageChunk | DispatchError:
    try:
        chunks = _chunks(codec, call, headers, pieces)
    except DispatchError as error:
        return error
    _check_chunks(codec, chunks)
    return _sum(chunks)


def _check_chunks(codec: Vendor, chunks: list[AIMessageChunk]) -> None:
    *early, last = chunks
    assert last.chunk_position == "last"
    for chunk in early:
        assert chunk.chunk_position is None
        assert chunk.usage_metadata is None
        assert set(chunk.response_metadata) - {"output_version"} == {"model_provider"}
        assert chunk.content or chunk.tool_call_chunks or chunk.additional_kwargs, "an empty chunk"
        assert all(isinstance(piece["index"], int) for piece in chunk.tool_call_chunks)
    assert {"model_provider", "model_name", "finish_reason"} <= set(last.response_metadata)


def _sum(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    total, *rest = chunks
    return total.__add__(rest) if rest else total


def _same(one: AIMessageChunk | DispatchError, other: AIMessageChunk | DispatchError) -> bool:
    if isinstance(one, DispatchError) or isinstance(other, DispatchError):
        return type(one) is type(other) and str(one) == str(other)
    return one.model_dump(exclude={"id"}) == other.model_dump(exclude={"id"})


def _check_cut(
    codec: Vendor, call: Call, headers: Mapping[str, str], body: bytes, whole: AIMessageChunk
) -> None:
    decoder = codec.stream_decoder(call, headers)
    chunks: list[AIMessageChunk] = []
    try:
        chunks += decoder.feed(body)
        chunks += decoder.close()
    except VendorError:
        assert not any(chunk.chunk_position for chunk in chunks), "a cut answer was called whole"
        return
    assert decoder.finished, "a cut answer raised nothing"
    cut = _sum(chunks)
    assert (cut.text, cut.tool_calls) == (whole.text, whole.tool_calls)


# -- messages ------------------------------------------------------------------------------------------


def _check_message(codec: Vendor, message: AIMessage, expected: Expected) -> None:
    assert message.text == expected.text
    assert [(call["name"], call["args"]) for call in message.tool_calls] == expected.tool_calls
    ids = [call["id"] for call in (*message.tool_calls, *message.invalid_tool_calls)]
    assert all(ids)
    if expected.call_ids is not None:
        assert ids == expected.call_ids
    _check_metadata(codec, message.response_metadata, expected)
    _check_usage(message, expected)
    _check_blocks(message, expected)


def _check_metadata(codec: Vendor, metadata: dict[str, Any], expected: Expected) -> None:
    json.dumps(metadata)
    assert metadata["normalized_finish_reason"] == expected.finish
    assert metadata["finish_state"] in {"complete", "suspended"}
    assert metadata["model_provider"]
    if expected.model is not None:
        assert metadata["model_name"] == expected.model
    if expected.id is not None:
        assert metadata["id"] == expected.id
    assert expected.metadata == {name: metadata.get(name) for name in expected.metadata}


def _check_usage(message: AIMessage, expected: Expected) -> None:
    if expected.usage is None:
        assert message.usage_metadata is None
        return
    assert message.usage_metadata is not None
    found: dict[str, Any] = dict(message.usage_metadata)
    for name, value in expected.usage.items():
        if isinstance(value, dict):
            assert value.items() <= found.get(name, {}).items(), (name, found)
        else:
            assert found[name] == value, (name, found)


def _check_blocks(message: AIMessage, expected: Expected) -> None:
    blocks = message.content_blocks
    texts = [block["text"] for block in blocks if block["type"] == "text"]
    assert "".join(texts) == expected.text
    if isinstance(message.content, str) and expected.text:
        assert len(texts) == 1
    calls = [(block["name"], block["args"]) for block in blocks if block["type"] == "tool_call"]
    # LangChain's reader has no word for OpenAI's free-text tools.
    own = [block["value"] for block in blocks if block["type"] == "non_standard"]
    calls += [(v["name"], {"__arg1": v["input"]}) for v in own if v.get("type") == "custom_tool_call"]
    assert sorted(calls, key=repr) == sorted(expected.tool_calls, key=repr)
    if expected.reasoning is not None:
        thoughts = [block.get("reasoning", "") for block in blocks if block["type"] == "reasoning"]
        assert "".join(thoughts) == expected.reasoning
    _check_native(message, expected)


def _check_native(message: AIMessage, expected: Expected) -> None:
    """Check the vendor's own blocks, and what LangChain's reader makes of them."""
    blocks: list[Any] = message.content_blocks
    if expected.content is not None:
        assert _unnumbered(message.content) == expected.content
    if expected.refusal is not None:
        assert "".join(block["refusal"] for block in blocks if block["type"] == "refusal") == expected.refusal
    if expected.citations is not None:
        notes = [note for block in blocks for note in block.get("annotations") or ()]
        assert [_target(note) for note in notes] == expected.citations
    if expected.server_tools is not None:
        calls = [(block["name"], block["id"]) for block in blocks if block["type"] == "server_tool_call"]
        assert calls == expected.server_tools


def _target(note: dict[str, Any]) -> Any:
    return note.get("url") or note.get("title") or note["value"]["filename"]


def _unnumbered(value: Any) -> Any:
    """Return content without the marks by which a stream's pieces find together."""
    if isinstance(value, dict):
        return {name: _unnumbered(inner) for name, inner in value.items() if name != "index"}
    return [_unnumbered(inner) for inner in value] if isinstance(value, list) else value
