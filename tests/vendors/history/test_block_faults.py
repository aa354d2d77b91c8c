"""Content blocks with faults: an error that names block and field, and never one of Python's own."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_llmdispatch.errors import DispatchError, UnsupportedFeatureError
from langchain_llmdispatch.internal.json_format import UnwritableError
from langchain_llmdispatch.vendors.history.block_faults import fault_of, with_fault
from tests.cases import each
from tests.vendors.compile.calls import VENDORS as _VENDORS
from tests.vendors.compile.calls import compiled as _call


@each(
    ("block", "fault"),
    [
        ({"type": "text", "text": "x"}, None),
        ({"type": "image", "url": "https://a"}, None),
        ({"type": "unknown", "x": 1}, None),
        ({"type": 3}, "`type` must be text, not int"),
        ({"type": "text"}, "`text` must be text, not null"),
        ({"type": "text", "text": ["x"]}, "`text` must be text, not a list"),
        ({"type": "image"}, "it has none of url, base64, file_id"),
        ({"type": "image", "url": 3}, "`url` must be text, not int"),
        ({"type": "file", "url": "https://a", "mime_type": {}}, "`mime_type` must be text, not an object"),
        ({"type": "reasoning", "extras": "x"}, "`extras` must be an object, not text"),
        ({"type": "tool_call", "args": {}}, "`name` must be text, not null"),
        ({"type": "non_standard"}, "`value` must be an object, not null"),
        ({"type": "non_standard", "value": {}}, "it is empty"),
        ({"type": "non_standard", "value": {"type": b"x"}}, "`value.type` must be text, not bytes"),
    ],
)
def test_faults_are_named(block: dict[str, Any], fault: str | None) -> None:
    """The field, what it must be and what it is."""
    assert fault_of(block) == fault


def test_a_block_with_a_fault_is_replaced() -> None:
    """By one that names it; others are passed on."""
    good = {"type": "text", "text": "x"}
    assert with_fault(good, 0) is good
    made = with_fault({"type": "image"}, 2)
    assert made == {
        "type": "malformed",
        "fault": "content block 2 (image): it has none of url, base64, file_id",
    }


@pytest.mark.parametrize("vendor", _VENDORS)
@each(
    ("block", "named"),
    [
        ({"type": "image"}, r"message 0, content block 1 \(image\): it has none of url, base64, file_id"),
        ({"type": "image_url", "image_url": {}}, r"content block 1 \(image_url\): it has no image_url.url"),
        ({"type": "input_audio", "input_audio": {"data": 3}}, r"\(input_audio\): it has no input_audio.data"),
        ({"type": "media", "mime_type": "video/mp4"}, r"\(media\): it has no data or file_uri"),
        ({"type": "image", "source": {"type": "base64"}}, "message 0, content block 1"),
        ({"type": "text", "text": 5}, r"content block 1 \(text\): `text` must be text, not int"),
        ({"type": ["image"]}, "content block 1 .*`type` must be text"),
        ({}, "content block 1 .*it is empty"),
        (
            {"type": "tool_call", "name": "f", "args": {}, "id": "1"},
            "message 0 holds a block of type tool_call",
        ),
    ],
)
def test_a_users_block_with_a_fault_is_an_error(vendor: str, block: Any, named: str) -> None:
    """For every vendor alike, before anything is sent."""
    with pytest.raises(UnsupportedFeatureError, match=named):
        _call(vendor, messages=[HumanMessage([{"type": "text", "text": "x"}, block])])


def test_an_answers_block_with_a_fault_is_left_out() -> None:
    """A stored thread goes on, and what is lost is reported."""
    answer = AIMessage(
        [{"type": "text", "text": "x"}, {"type": "tool_use", "name": 3, "input": {}, "id": "1"}]
    )
    call, kinds = _call("anthropic", messages=[HumanMessage("hi"), answer, HumanMessage("go on")])
    assert kinds == ["block_dropped"]
    assert call.messages[1].text == "x"


_BLOCKS: list[Any] = [
    {"type": "text", "text": "x"},
    {"type": "image", "url": "https://a/b.png"},
    {"type": "image", "file_id": "f"},
    {"type": "image_url", "image_url": {"url": "https://a/b.png"}},
    {"type": "image_url", "image_url": "data:image/png;base64,aGk="},
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
    {"type": "image", "source_type": "base64", "data": "aGk=", "mime_type": "image/png"},
    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}, "title": "t"},
    {"type": "document", "source": {"type": "file", "file_id": "f"}},
    {"type": "file", "file": {"file_id": "f"}},
    {"type": "file", "base64": "aGk=", "mime_type": "application/pdf", "filename": "a.pdf"},
    {"type": "file", "url": "https://a/b.pdf"},
    {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
    {"type": "audio", "base64": "aGk=", "mime_type": "audio/wav"},
    {"type": "video", "url": "https://a/b.mp4"},
    {"type": "media", "mime_type": "video/mp4", "file_uri": "gs://a"},
    {"type": "text-plain", "text": "x"},
    {"type": "text-plain", "base64": "aGk="},
    {"type": "input_text", "text": "x"},
    {"type": "input_image", "image_url": "https://a"},
    {"type": "input_file", "file_url": "https://a"},
    {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "x"}]},
    {"type": "thinking", "thinking": "hm", "signature": "s"},
    {"type": "reasoning", "reasoning": "x", "extras": {"signature": "s"}},
    {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "x"}],
        "id": "rs_1",
        "encrypted_content": "e",
    },
    {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
    {"type": "tool_call", "id": "t1", "name": "f", "args": {"a": 1}},
    {"type": "function_call", "call_id": "t1", "name": "f", "arguments": "{}", "id": "fc_1"},
    {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"q": 1}},
    {"type": "server_tool_call", "id": "s1", "name": "web_search", "args": {}},
    {"type": "server_tool_result", "tool_call_id": "s1", "status": "success", "output": []},
    {"type": "non_standard", "value": {"type": "x", "a": 1}},
    {"type": "refusal", "refusal": "no"},
    {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "x"}]},
    {"type": "executable_code", "executable_code": "x", "language": "PYTHON"},
    {"type": "code_execution_result", "code_execution_result": "x", "outcome": 1},
    {"type": "web_search_call", "id": "ws_1", "status": "completed"},
    {"type": "function_call_signature", "signature": "aGk=", "index": 0},
    {"type": "video_url", "video_url": {"url": "https://a"}},
    {"cachePoint": {"type": "default"}},
    "plain",
]
_VALUES: list[Any] = [None, "", 3, True, [], {}, "word", ["x"], {"a": 1}, b"b"]
_GONE = object()


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield from _places(part, (*path, key))


def _with(block: Any, path: tuple[Any, ...], value: Any) -> Any:
    made = copy.deepcopy(block)
    if not path:
        return made if value is _GONE else value
    holder = made
    for key in path[:-1]:
        holder = holder[key]
    if value is _GONE:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return made


@st.composite
def _odd_blocks(draw: st.DrawFn) -> Any:
    block = draw(st.sampled_from(_BLOCKS))
    place = draw(st.sampled_from(list(_places(block))))
    return _with(block, place, draw(st.sampled_from([*_VALUES, _GONE])))


_PROVIDERS = ["openai", "anthropic", "google_genai", "cohere", "ollama", "odd", None]


def _answer(blocks: list[Any], provider: str | None, *, v1: bool) -> AIMessage:
    metadata = {"model_provider": provider, "model_name": "m-1"} if provider else {}
    return AIMessage(blocks, response_metadata={**metadata, **({"output_version": "v1"} if v1 else {})})


@given(
    st.lists(st.one_of(_odd_blocks(), st.sampled_from(_BLOCKS)), min_size=1, max_size=3),
    st.sampled_from(["user", "system", "tool", "answer"]),
    st.sampled_from(_PROVIDERS),
    st.booleans(),
    st.sampled_from(sorted(_VENDORS)),
)
def test_any_mix_of_blocks_is_sent_or_refused(
    blocks: list[Any],
    role: str,
    provider: str | None,
    v1: bool,
    vendor: str,
) -> None:
    """Nothing but the package's own errors come out of compiling and encoding it."""
    called = AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": "t1"}])
    try:
        message: BaseMessage = {
            "user": lambda: HumanMessage(blocks),
            "system": lambda: SystemMessage(blocks),
            "tool": lambda: ToolMessage(blocks, tool_call_id="t1"),
            "answer": lambda: _answer(blocks, provider, v1=v1),
        }[role]()
    except ValueError:  # LangChain's own: no message
        return
    before = copy.deepcopy(message)
    history = [HumanMessage("x"), *([called] if role == "tool" else []), message, HumanMessage("y")]
    if role in {"user", "system"}:
        history = [message, HumanMessage("y")]
    try:
        call, _ = _call(vendor, messages=history)
        _VENDORS[vendor].encode_request(call)
    except (DispatchError, UnwritableError):
        pass
    assert message == before
