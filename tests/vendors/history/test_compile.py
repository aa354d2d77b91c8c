"""The history compiler: one rule per incompatibility, and properties that hold for any history."""

from __future__ import annotations

import copy
import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_llmdispatch.errors import UnsupportedFeatureError
from langchain_llmdispatch.vendors.base import HistoryRules
from langchain_llmdispatch.vendors.history.blocks import media_kinds
from langchain_llmdispatch.vendors.history.compile import (
    FIRST_USER,
    LAST_USER,
    _is_plain,
    assess,
    compile_messages,
)
from langchain_llmdispatch.vendors.history.compile import _compile as _whole_way
from langchain_llmdispatch.vendors.history.tool_results import INTERRUPTED
from langchain_llmdispatch.vendors.history.turns import message_of

_ALL_MEDIA = frozenset({"image", "image_url", "pdf", "pdf_url", "audio", "video", "file"})
_SAFE_ID = re.compile(r"[a-zA-Z0-9_-]+")

# What users.md section 2 says of the seven vendors.
RULES = {
    "openai": HistoryRules(
        "openai",
        names="slug",
        user_media=frozenset({"image", "image_url", "pdf", "audio", "file"}),
        blank_text=True,
    ),
    "responses": HistoryRules("openai", tool_id=re.compile(r".{1,64}"), reasoning="signed"),
    "anthropic": HistoryRules(
        "anthropic",
        system="leading",
        alternate=True,
        first_user=True,
        last_user=True,
        tool_id=_SAFE_ID,
        user_media=frozenset({"image", "image_url", "pdf", "pdf_url"}),
        tool_media=frozenset({"image", "image_url", "pdf", "pdf_url"}),
        reasoning="signed",
        same_model=True,
        cache_control=True,
        citations=True,
    ),
    "google": HistoryRules(
        "google_genai",
        system="leading",
        first_user=True,
        last_user=True,
        user_media=_ALL_MEDIA,
        tool_media=frozenset({"image"}),
        reasoning="signed",
        call_signature="skip",
    ),
    "cohere": HistoryRules("cohere", user_media=frozenset({"image", "image_url"})),
    "huggingface": HistoryRules("huggingface", alternate=True, first_user=True, reasoning="text"),
    "ollama": HistoryRules("ollama", user_media=frozenset({"image"}), reasoning="text"),
}
_USAGE = {"type": "web_search", "id": "srv_1"}


def _compile(messages: list[BaseMessage], target: str, **more: Any) -> tuple[list[BaseMessage], list[str]]:
    out, changes = compile_messages(messages, RULES[target], model=more.pop("model", "m-1"), **more)
    return out, [change.kind for change in changes]


# -- source turns, each in its vendor's own shape --------------------------------------------------


def _turn(source: str) -> AIMessage:
    """Return an assistant's turn with text and one call, as the vendor's package writes it."""
    return copy.deepcopy(_TURNS[source])


_TURNS = {
    "openai": AIMessage(
        content="Let me look.",
        additional_kwargs={"refusal": None},
        tool_calls=[{"name": "look", "args": {"q": "x"}, "id": "call_A1"}],
        response_metadata={"model_provider": "openai", "model_name": "m-1"},
    ),
    "responses": AIMessage(
        content=[
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA", "index": 0},
            {"type": "text", "text": "Let me look.", "id": "msg_1", "annotations": []},
            {
                "type": "function_call",
                "name": "look",
                "arguments": '{"q":"x"}',
                "call_id": "call_A1",
                "id": "fc_1",
            },
        ],
        tool_calls=[{"name": "look", "args": {"q": "x"}, "id": "call_A1"}],
        response_metadata={"model_provider": "openai", "model_name": "m-1"},
    ),
    "anthropic": AIMessage(
        content=[
            {"type": "thinking", "thinking": "Hm.", "signature": "EqQB"},
            {"type": "redacted_thinking", "data": "ZZZ"},
            {"type": "text", "text": "Let me look."},
            {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"q": "x"}},
        ],
        tool_calls=[{"name": "look", "args": {"q": "x"}, "id": "toolu_1"}],
        response_metadata={"model_provider": "anthropic", "model_name": "m-1-20260930"},
    ),
    "google": AIMessage(
        content=[
            {"type": "thinking", "thinking": "Hm.", "signature": "GGG"},
            {"type": "text", "text": "Let me look.", "extras": {"signature": "TTT"}},
        ],
        additional_kwargs={"__gemini_function_call_thought_signatures__": {"g1": "CCC"}},
        tool_calls=[{"name": "look", "args": {"q": "x"}, "id": "g1"}],
        response_metadata={"model_provider": "google_genai", "model_name": "m-1"},
    ),
    "cohere": AIMessage(
        content="Let me look.",
        tool_calls=[{"name": "look", "args": {"q": "x"}, "id": "look_8x"}],
        response_metadata={"model_provider": "cohere", "model_name": "m-1"},
    ),
    "huggingface": AIMessage(
        content="Let me look.",
        additional_kwargs={"reasoning_content": "Hm."},
        tool_calls=[{"name": "look", "args": {"q": "x"}, "id": "functions.look:0"}],
        response_metadata={"model_provider": "huggingface", "model_name": "m-1"},
    ),
    "ollama": AIMessage(
        content=[
            {"type": "reasoning", "reasoning": "Hm.", "index": 0},
            {"type": "text", "text": "Let me look.", "index": 1, "id": "lc_1"},
        ],
        tool_calls=[{"name": "look", "args": {"q": "x"}, "id": "7e9b"}],
        response_metadata={"model_provider": "ollama", "model_name": "m-1", "output_version": "v1"},
    ),
}


def _types(message: BaseMessage) -> list[str]:
    return ["text"] if isinstance(message.content, str) else [str(b["type"]) for b in message.content]


@pytest.mark.parametrize("target", RULES)
@pytest.mark.parametrize("source", _TURNS)
def test_a_tool_loop_begun_anywhere_goes_on_anywhere(source: str, target: str) -> None:
    """Seven by seven: text, call and result arrive; reasoning only at home; ids agree."""
    turn = _turn(source)
    call_id = turn.tool_calls[0]["id"] or ""
    history: list[BaseMessage] = [HumanMessage("hi"), turn, ToolMessage("found", tool_call_id=call_id)]
    before = copy.deepcopy(history)
    out, _ = _compile(history, target)
    assert history == before
    answer, result = out[1], out[2]
    assert isinstance(answer, AIMessage)
    assert isinstance(result, ToolMessage)
    assert "Let me look." in answer.text
    assert [(c["name"], c["args"]) for c in answer.tool_calls] == [("look", {"q": "x"})]
    assert (result.tool_call_id, result.name) == (answer.tool_calls[0]["id"], "look")
    if (pattern := RULES[target].tool_id) is not None:
        assert pattern.fullmatch(result.tool_call_id)
    native = RULES[target].provider == turn.response_metadata["model_provider"]
    kept = native and RULES[target].reasoning != "drop" and source not in {"openai", "cohere"}
    assert ("reasoning" in _types(answer)) is kept
    if target == "google":
        blocks = [b for b in answer.content if isinstance(b, dict) and b["type"] == "tool_call"]
        assert blocks[0]["extras"]["signature"] == ("CCC" if source == "google" else "skip")
    again, changes = _compile(out, target)
    assert (again, changes) == (out, [])


def test_native_reasoning_returns_byte_for_byte() -> None:
    """Signatures, redacted thinking and their order survive on the vendor and model that wrote them."""
    out, kinds = _compile([HumanMessage("hi"), _turn("anthropic"), HumanMessage("go on")], "anthropic")
    assert out[1].content[:2] == [
        {"type": "reasoning", "reasoning": "Hm.", "extras": {"signature": "EqQB"}},
        {"type": "non_standard", "value": {"type": "redacted_thinking", "data": "ZZZ"}},
    ]
    assert kinds == ["result_synthesised"]


def test_reasoning_of_another_model_or_vendor_is_dropped() -> None:
    """`same_model` compares without snapshot dates; Azure's ciphertext is nothing to OpenAI."""
    history: list[BaseMessage] = [HumanMessage("hi"), _turn("anthropic")]
    _, kinds = _compile(history, "anthropic", model="m-2")
    assert kinds.count("reasoning_dropped") == 2
    azure = _turn("responses")
    azure.response_metadata["llmdispatch"] = {"vendor": "azure"}
    out, kinds = _compile([HumanMessage("hi"), azure], "responses", vendor="openai")
    assert "reasoning_dropped" in kinds
    assert isinstance(out[1].content, str)


def test_item_ids_stay_at_home_only() -> None:
    """A Responses turn keeps `rs_`, `msg_` and `fc_` ids for itself; nobody else sees them."""
    history: list[BaseMessage] = [HumanMessage("hi"), _turn("responses")]
    home, _ = _compile(history, "responses")
    assert [b.get("id") for b in home[1].content if isinstance(b, dict)] == ["rs_1", "msg_1", "call_A1"]
    away, _ = _compile(history, "google")
    assert "msg_1" not in str(away)
    assert "fc_1" not in str(away)


def test_ids_are_rewritten_alike_and_always_the_same() -> None:
    """Kimi's ids become legal ones for Anthropic, on both sides, deterministically."""
    history: list[BaseMessage] = [
        HumanMessage("hi"),
        _turn("huggingface"),
        ToolMessage("1", tool_call_id="functions.look:0"),
    ]
    first, kinds = _compile(history, "anthropic")
    second, _ = _compile([*history, HumanMessage("more")], "anthropic")
    assert "tool_id_rewritten" in kinds
    assert first[1] == second[1]
    assert _SAFE_ID.fullmatch(first[2].tool_call_id)  # type: ignore[attr-defined]


def test_an_id_used_in_two_turns_is_told_apart() -> None:
    """Servers that number calls anew in each turn do not confuse results."""
    call = {"name": "look", "args": {}, "id": "call_0"}
    history: list[BaseMessage] = [
        HumanMessage("hi"),
        AIMessage("", tool_calls=[call]),
        ToolMessage("one", tool_call_id="call_0"),
        AIMessage("", tool_calls=[call]),
        ToolMessage("two", tool_call_id="call_0"),
    ]
    out, kinds = _compile(history, "openai")
    assert kinds.count("tool_id_rewritten") == 1
    assert out[2].tool_call_id == "call_0"  # type: ignore[attr-defined]
    assert out[4].tool_call_id == out[3].tool_calls[0]["id"] != "call_0"  # type: ignore[attr-defined]


def test_results_without_ids_answer_by_name_then_order() -> None:
    """Old Gemini and Ollama messages have no ids at all."""
    calls = [{"name": "a", "args": {}, "id": None}, {"name": "b", "args": {}, "id": None}]
    history: list[BaseMessage] = [
        HumanMessage("hi"),
        AIMessage("", tool_calls=calls),
        ToolMessage("B", tool_call_id="", name="b"),
        ToolMessage("A", tool_call_id=""),
    ]
    out, _ = _compile(history, "openai")
    assert [m.content for m in out[2:]] == ["A", "B"]
    assert [m.name for m in out[2:]] == ["a", "b"]
    assert [m.tool_call_id for m in out[2:]] == [c["id"] for c in out[1].tool_calls]  # type: ignore[attr-defined]


def test_unanswered_calls_get_an_error_result() -> None:
    """A run that broke between call and result can go on."""
    out, kinds = _compile([HumanMessage("hi"), _turn("openai"), HumanMessage("well?")], "openai")
    assert (out[2].content, out[2].status) == (INTERRUPTED, "error")  # type: ignore[attr-defined]
    assert kinds == ["result_synthesised"]


def test_results_stand_after_their_calls_in_order() -> None:
    """A user's word between call and result moves behind the result."""
    calls = [{"name": "a", "args": {}, "id": "1"}, {"name": "b", "args": {}, "id": "2"}]
    history: list[BaseMessage] = [
        HumanMessage("hi"),
        AIMessage("", tool_calls=calls),
        ToolMessage("B", tool_call_id="2", name="b"),
        HumanMessage("wait"),
        ToolMessage("A", tool_call_id="1", name="a"),
    ]
    out, kinds = _compile(history, "openai")
    assert [m.content for m in out] == ["hi", "", "A", "B", "wait"]
    assert kinds == ["results_moved"]


def test_orphan_results_become_text() -> None:
    """A trimmed history may begin with a result."""
    out, kinds = _compile([ToolMessage("42", tool_call_id="x", name="sum"), HumanMessage("ok")], "openai")
    assert isinstance(out[0], HumanMessage)
    assert out[0].content == "[Result of a tool call that is no longer part of the conversation: sum]\n42"
    assert kinds == ["orphan_to_text"]


def test_late_system_messages_become_tagged_user_turns() -> None:
    """`leading`: the front is folded, the rest tagged; `anywhere`: nothing happens."""
    history: list[BaseMessage] = [
        SystemMessage("a"),
        SystemMessage("b"),
        HumanMessage("hi"),
        AIMessage("yo"),
        SystemMessage("be brief"),
        HumanMessage("and?"),
    ]
    out, kinds = _compile(history, "google")
    assert [type(m).__name__ for m in out] == [
        "SystemMessage",
        *["HumanMessage", "AIMessage"],
        *["HumanMessage"] * 2,
    ]
    assert (out[0].content, out[3].content) == ("a\n\nb", "<system>\nbe brief\n</system>")
    assert kinds == ["system_folded", "system_to_user"]
    merged, _ = _compile(history, "anthropic")
    assert merged[3].content == "<system>\nbe brief\n</system>\n\nand?"
    same, kinds = _compile(history, "openai")
    assert all(a is b for a, b in zip(same, history, strict=True))
    assert kinds == []


def test_first_and_last_turn_are_the_users_where_they_must() -> None:
    """A placeholder before a leading assistant turn, one after a trailing one."""
    out, kinds = _compile([SystemMessage("s"), AIMessage("hello")], "anthropic")
    assert [m.content for m in out] == ["s", FIRST_USER, "hello", LAST_USER]
    assert kinds == ["first_user_added", "last_user_added"]
    alone, _ = _compile([SystemMessage("s")], "anthropic")
    assert [m.content for m in alone] == ["s", FIRST_USER]


def test_empty_turns_vanish_and_neighbours_merge() -> None:
    """Anthropic and Gemini refuse what they themselves sometimes return: nothing."""
    history: list[BaseMessage] = [HumanMessage("a"), AIMessage(""), HumanMessage("b"), HumanMessage("  ")]
    out, kinds = _compile(history, "anthropic")
    assert [m.content for m in out] == ["a\n\nb"]
    assert kinds == ["empty_turn_dropped", "empty_turn_dropped", "turns_merged"]
    out, kinds = _compile([HumanMessage("")], "openai")
    assert [m.content for m in out] == [""]


def test_names_are_spelled_or_dropped() -> None:
    """OpenAI refuses spaces in names, the others refuse names."""
    history: list[BaseMessage] = [HumanMessage("hi", name="User Onboarding Agent")]
    assert _compile(history, "openai")[0][0].name == "User_Onboarding_Agent"
    out, kinds = _compile(history, "cohere")
    assert out[0].name is None
    assert kinds == ["name_dropped"]


_PNG = {"type": "image", "base64": "aGk=", "mime_type": "image/png"}


def test_images_in_results_move_to_a_user_turn() -> None:
    """Where results hold text only, the image follows as the user's, a placeholder stays."""
    history: list[BaseMessage] = [
        HumanMessage("hi"),
        _turn("openai"),
        ToolMessage([{"type": "text", "text": "see"}, _PNG], tool_call_id="call_A1"),
    ]
    out, kinds = _compile(history, "openai")
    assert out[2].content == [
        {"type": "text", "text": "see"},
        {"type": "text", "text": "[image: see the next user message]"},
    ]
    assert out[3].content == [{"type": "text", "text": "[From the result of the tool look]"}, _PNG]
    assert "media_moved" in kinds
    assert _PNG in _compile(history, "anthropic")[0][2].content


def test_images_of_the_assistants_move_too() -> None:
    """An image that a model made goes on as the user's; it is dropped where the target sees none."""
    made = AIMessage([{"type": "text", "text": "here"}, _PNG], response_metadata={"output_version": "v1"})
    history: list[BaseMessage] = [HumanMessage("draw"), made, HumanMessage("bigger")]
    out, _ = _compile(history, "google")
    assert [type(m).__name__ for m in out] == ["HumanMessage", "AIMessage", "HumanMessage", "HumanMessage"]
    assert _PNG in out[2].content
    blind = HistoryRules("x", user_media=frozenset())
    out, changes = compile_messages(history, blind, model="m")
    assert [c.kind for c in changes] == ["media_dropped"]
    assert changes[0].lossy


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
        {"type": "image_url", "image_url": "data:image/png;base64,aGk="},
        {"type": "input_image", "image_url": "data:image/png;base64,aGk="},
        {"type": "image", "source_type": "base64", "data": "aGk=", "mime_type": "image/png"},
        {"type": "image", "source": {"type": "base64", "data": "aGk=", "media_type": "image/png"}},
        {"type": "image", "url": "data:image/png;base64,aGk="},
        {"type": "media", "mime_type": "image/png", "data": b"hi"},
        {"image": {"format": "png", "source": {"bytes": b"hi"}}},
        {"type": "file", "base64": "aGk=", "mime_type": "image/png"},
    ],
)
def test_every_spelling_of_an_image_becomes_one(block: dict[str, Any]) -> None:
    """OpenAI's, Anthropic's, Gemini's, Bedrock's and LangChain's old ones are the same image."""
    out, _ = _compile([HumanMessage([block])], "anthropic")
    assert out[0].content == [_PNG]


def test_audio_and_files_are_read() -> None:
    """OpenAI's audio and file blocks, Anthropic's documents and file ids."""
    blocks: list[Any] = [
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk=", "filename": "a.pdf"}},
        {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "file", "base64": "aGk=", "mime_type": "text/plain"},
    ]
    out, _ = _compile([HumanMessage(blocks)], "google")
    assert [b["type"] for b in out[0].content] == ["audio", "file", "file", "text-plain"]  # type: ignore[index]
    assert out[0].content[2] == {"type": "file", "file_id": "file_1"}
    assert out[0].content[3]["text"] == "hi"  # type: ignore[index]


def test_media_that_a_target_cannot_take_are_illegal() -> None:
    """Not dropped silently: the dispatcher goes elsewhere."""
    history: list[BaseMessage] = [HumanMessage([{"type": "video", "url": "https://x/v.mp4"}])]
    verdict = assess(history, RULES["openai"], model="m")
    assert verdict.verdict == "illegal"
    assert verdict.reasons == ("message 0 holds video input given by URL, which the target does not take",)
    with pytest.raises(UnsupportedFeatureError, match="video"):
        _compile(history, "openai")
    with pytest.raises(UnsupportedFeatureError, match="nothing is left"):
        _compile([HumanMessage(" ")], "anthropic")


def test_verdicts() -> None:
    """Legal where everything arrives, lossy where something does not."""
    assert assess([HumanMessage("hi")], RULES["cohere"], model="m").verdict == "legal"
    named: list[BaseMessage] = [HumanMessage("hi", name="bob")]
    assert assess(named, RULES["cohere"], model="m").verdict == "lossy"


def test_cache_markers_and_citations_go_where_they_are_understood() -> None:
    """Anthropic keeps both, the others see neither."""
    text = {"type": "text", "text": "long", "cache_control": {"type": "ephemeral"}}
    quoted = {"type": "text", "text": "q", "citations": [{"type": "page_location", "cited_text": "x"}]}
    answer = AIMessage([quoted], response_metadata={"model_provider": "anthropic", "model_name": "m-1"})
    history: list[BaseMessage] = [HumanMessage([text]), answer, HumanMessage("ok")]
    home, kinds = _compile(history, "anthropic")
    assert home[0] is history[0]
    assert home[1].content[0]["annotations"][0]["cited_text"] == "x"  # type: ignore[index]
    assert kinds == []
    away, kinds = _compile(history, "openai")
    assert away[0].content == [{"type": "text", "text": "long"}]
    assert away[1].content == "q"
    assert kinds == ["cache_control_dropped", "citations_dropped"]


def test_server_tools_of_others_leave_their_text() -> None:
    """A web search that Anthropic ran goes on as what it found, without ciphertext."""
    found = [{"type": "web_search_result", "title": "T", "url": "https://t", "encrypted_content": "SECRET"}]
    answer = AIMessage(
        [
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "t"}},
            {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": found},
            {"type": "text", "text": "It is T."},
        ],
        response_metadata={"model_provider": "anthropic", "model_name": "m-1"},
    )
    history: list[BaseMessage] = [HumanMessage("t?"), answer, HumanMessage("sure?")]
    away, kinds = _compile(history, "google")
    assert away[1].content[0]["text"] == "[Result of a tool]\nT\nhttps://t"  # type: ignore[index]
    assert "SECRET" not in str(away)
    assert kinds == ["server_tool_dropped", "server_tool_dropped"]
    home, kinds = _compile(history, "anthropic")
    assert _types(home[1]) == ["server_tool_call", "server_tool_result", "text"]
    assert kinds == []


def test_refusals_go_on_as_text() -> None:
    """Neither the block nor the `additional_kwargs` field is known to others."""
    block = AIMessage([{"type": "refusal", "refusal": "No."}], response_metadata={"model_provider": "openai"})
    kwarg = AIMessage("", additional_kwargs={"refusal": "No."})
    for message in (block, kwarg):
        out, kinds = _compile([HumanMessage("hi"), message, HumanMessage("please")], "cohere")
        assert out[1].content == "No."
        assert kinds == ["refusal_to_text"]


def test_invalid_calls_stay_only_if_answered() -> None:
    """A call whose JSON was cut is no call, unless a result refers to it."""
    bad = AIMessage("hm", invalid_tool_calls=[{"name": "f", "args": '{"a', "id": "1", "error": None}])
    out, kinds = _compile([HumanMessage("hi"), bad, HumanMessage("so?")], "openai")
    assert (out[1].tool_calls, out[1].invalid_tool_calls) == ([], [])  # type: ignore[attr-defined]
    assert kinds == ["invalid_call_dropped"]
    out, _ = _compile([HumanMessage("hi"), bad, ToolMessage("bad JSON", tool_call_id="1")], "openai")
    assert out[1].tool_calls[0]["args"] == {}  # type: ignore[attr-defined]


def test_other_message_classes() -> None:
    """Roles, functions, chunks, raw calls in `additional_kwargs`, Anthropic's inline results."""
    raw = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    history: list[BaseMessage] = [
        ChatMessage("sys", role="developer"),
        ChatMessage("hi", role="user"),
        AIMessage("", additional_kwargs={"tool_calls": [raw]}),
        HumanMessage([{"type": "tool_result", "tool_use_id": "c1", "content": "1", "is_error": True}]),
        AIMessage("", additional_kwargs={"function_call": {"name": "g", "arguments": "{}"}}),
        FunctionMessage("2", name="g"),
        AIMessageChunk("bye"),
    ]
    out, _ = _compile(history, "openai")
    assert [type(m).__name__ for m in out] == [
        "SystemMessage", "HumanMessage", "AIMessage", "ToolMessage", "AIMessage", "ToolMessage", "AIMessage",
    ]  # fmt: skip
    assert out[3].status == "error"  # type: ignore[attr-defined]
    assert out[5].tool_call_id == out[4].tool_calls[0]["id"]  # type: ignore[attr-defined]


def test_what_is_no_message_to_send_is_an_error() -> None:
    """`RemoveMessage` edits a graph's state."""
    with pytest.raises(ValueError, match="RemoveMessage"):
        _compile([RemoveMessage(id="1")], "openai")


def test_tool_names_are_mapped() -> None:
    """Calls and results speak of the tools as the target knows them."""
    out, _ = _compile(
        [HumanMessage("hi"), _turn("openai"), ToolMessage("1", tool_call_id="call_A1", name="look")],
        "openai",
        tool_names={"look": "look_1"},
    )
    assert out[1].tool_calls[0]["name"] == out[2].name == "look_1"  # type: ignore[attr-defined]


def test_plain_messages_pass_by_identity() -> None:
    """Nothing is copied that needs no change, beside messages that do."""
    history: list[BaseMessage] = [SystemMessage("s"), HumanMessage("a"), AIMessage("b"), HumanMessage("c")]
    for target in RULES:
        assert all(x is y for x, y in zip(_compile(history, target)[0], history, strict=True))
    loop = [*history, _turn("openai"), ToolMessage("1", tool_call_id="call_A1", name="look")]
    out, _ = _compile(loop, "openai")
    assert all(x is y for x, y in zip(out, loop, strict=True))


def test_a_fallback_in_the_middle_of_a_tool_loop() -> None:
    """Anthropic thinks and calls, Gemini takes over, OpenAI ends: each sees a legal history."""
    history: list[BaseMessage] = [
        HumanMessage("hi"),
        _turn("anthropic"),
        ToolMessage("1", tool_call_id="toolu_1"),
        _turn("google"),
        ToolMessage("2", tool_call_id="g1"),
    ]
    gemini, _ = _compile(history, "google")
    signatures = [
        b["extras"]["signature"]
        for m in gemini
        for b in m.content
        if isinstance(b, dict) and b["type"] == "tool_call"
    ]
    assert signatures == ["skip", "CCC"]
    claude, kinds = _compile(history, "anthropic")
    assert _types(claude[1])[0] == "reasoning"
    assert claude[3].content == "Let me look."
    assert kinds.count("reasoning_dropped") == 1
    final, _ = _compile(history, "openai")
    assert [_types(m) for m in final] == [["text"]] * 5


# -- properties ------------------------------------------------------------------------------------

_words = st.sampled_from(["", " ", "hello", "what is it?", "\n"])
_ids = st.sampled_from(["call_1", "functions.f:0", "a|b", "", "toolu_9", "x" * 70])
_names = st.sampled_from(["f", "g", "my tool"])
_blocks = st.one_of(
    _words.map(lambda text: {"type": "text", "text": text}),
    _words,
    st.sampled_from(
        [
            _PNG,
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
            {"type": "text", "text": "t", "cache_control": {"type": "ephemeral"}, "citations": []},
            {"type": "search_result", "title": "t", "content": [{"type": "text", "text": "found"}]},
            {"cachePoint": {"type": "default"}},
            {"type": "text"},
        ]
    ),
)
_providers = st.sampled_from(
    [
        "openai",
        "anthropic",
        "google_genai",
        "bedrock_converse",
        "groq",
        "cohere",
        "ollama",
        "huggingface",
        None,
    ]
)
_raw = st.sampled_from(
    [
        {"type": "thinking", "thinking": "t", "signature": "s", "index": 0},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "reasoning", "reasoning": "r", "extras": {"signature": "s"}},
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "a"}, {"text": "b"}],
        },
        {"type": "reasoning_content", "reasoning_content": {"text": "t", "signature": "s"}},
        {"type": "tool_use", "id": "toolu_9", "name": "f", "input": {"a": 1}},
        {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "call_1", "id": "fc_1"},
        {"type": "function_call", "name": "f", "args": {}},
        {"type": "function_call_signature", "signature": "sig", "index": 0},
        {"type": "tool_call", "id": "call_1", "name": "f", "args": {"a": 2}, "extras": {"signature": "z"}},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"title": "T", "url": "u"}]},
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "q"}},
        {"type": "web_search_call"},
        {"type": "executable_code", "executable_code": "1", "id": "e"},
        {"type": "image_generation_call", "id": "ig", "result": "aGk=", "output_format": "png"},
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
        {"type": "refusal", "refusal": "no"},
        {"type": "text", "text": "t", "citations": [{"type": "odd"}], "id": "lc_5", "index": 3},
        {"type": "text", "text": "", "extras": {"signature": "only"}},
        {"type": "invalid_tool_call", "id": "i", "name": "f", "args": "{", "error": None},
        {"type": "unheard_of", "text": "?"},
        _PNG,
        "plain",
    ]
)
_calls = st.lists(
    st.builds(lambda n, i: {"name": n, "args": {"a": 1}, "id": i or None}, _names, _ids), max_size=3
)


@st.composite
def _assistants(draw: st.DrawFn) -> AIMessage:
    content = draw(st.one_of(_words, st.lists(_raw, max_size=4)))
    metadata: dict[str, Any] = {"model_name": draw(st.sampled_from(["m-1", "m-2"]))}
    if provider := draw(_providers):
        metadata["model_provider"] = provider
    if isinstance(content, list) and draw(st.booleans()):
        metadata["output_version"] = "v1"
    kwargs = draw(st.sampled_from([{}, {"reasoning_content": "r"}, {"refusal": "no"}, {"refusal": None}]))
    invalid = draw(st.sampled_from([[], [{"name": "f", "args": "{", "id": "bad", "error": None}]]))
    return AIMessage(
        copy.deepcopy(content),
        tool_calls=draw(_calls),
        invalid_tool_calls=invalid,
        additional_kwargs=dict(kwargs),
        response_metadata=metadata,
        name=draw(st.sampled_from([None, "agent 1"])),
    )


_inputs = st.one_of(_words, st.lists(_blocks, max_size=3).map(copy.deepcopy))
_histories = st.lists(
    st.one_of(
        _inputs.map(SystemMessage),
        st.builds(lambda c, n: HumanMessage(c, name=n), _inputs, st.sampled_from([None, "a b", "!"])),
        _assistants(),
        _assistants(),
        st.builds(
            lambda c, i, n: ToolMessage(c, tool_call_id=i, name=n),
            _inputs,
            _ids,
            st.one_of(st.none(), _names),
        ),
    ),
    min_size=1,
    max_size=8,
)


def _check_legal(out: list[BaseMessage], rules: HistoryRules) -> None:
    asked: list[str] = []
    seen: set[str] = set()
    for place, message in enumerate(out):
        assert type(message) in {SystemMessage, HumanMessage, AIMessage, ToolMessage}
        if isinstance(message, ToolMessage):
            assert message.tool_call_id == asked.pop(0)
            assert message.name
        else:
            assert not asked
        if isinstance(message, AIMessage):
            asked = [str(call["id"]) for call in message.tool_calls]
            assert not seen & set(asked)
            seen |= set(asked)
            assert rules.tool_id is None or all(rules.tool_id.fullmatch(id_) for id_ in asked)
            assert asked or message.content
            if rules.call_signature and asked:
                assert any(
                    "signature" in b.get("extras", {}) for b in message.content if b["type"] == "tool_call"
                )  # type: ignore[union-attr, index]
        if rules.system == "leading":
            assert place == 0 or not isinstance(message, SystemMessage)
        _check_blocks(message, rules)
    assert not asked
    _check_order(out, rules)


def _check_blocks(message: BaseMessage, rules: HistoryRules) -> None:
    if isinstance(message.content, str):
        assert (
            isinstance(message, ToolMessage)
            or rules.blank_text
            or message.content.strip()
            or message.tool_calls
        )  # type: ignore[attr-defined]
        return
    for block in message.content:
        assert isinstance(block, dict)
        blank = block["type"] == "text" and not block["text"].strip()
        assert not blank or rules.blank_text or block.get("extras")
        assert rules.cache_control or "cache_control" not in block
        if block["type"] in {"image", "file", "audio", "video"}:
            allowed = rules.tool_media if isinstance(message, ToolMessage) else rules.user_media
            assert not isinstance(message, AIMessage)
            assert set(media_kinds(block)) & allowed


def _check_order(out: list[BaseMessage], rules: HistoryRules) -> None:
    talk = [m for m in out if not isinstance(m, SystemMessage)]
    if rules.alternate:
        assert all(type(a) is not type(b) or isinstance(a, ToolMessage) for a, b in pairwise(out))
    if rules.first_user:
        assert not talk or isinstance(talk[0], HumanMessage)
    if rules.last_user:
        assert not isinstance(out[-1], AIMessage)


@pytest.mark.parametrize("target", RULES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=_histories)
def test_any_history_becomes_legal(target: str, history: list[BaseMessage]) -> None:
    """Legal, unmutated, deterministic, and compiled twice the same."""
    rules = RULES[target]
    before = copy.deepcopy(history)
    verdict = assess(history, rules, model="m-1")
    if verdict.verdict == "illegal":
        with pytest.raises(UnsupportedFeatureError):
            compile_messages(history, rules, model="m-1")
        assert history == before
        return
    out, changes = compile_messages(history, rules, model="m-1")
    assert history == before
    assert (out, changes) == compile_messages(history, rules, model="m-1")
    assert tuple(changes) == verdict.changes
    _check_legal(out, rules)
    middle = copy.deepcopy(out)
    again, more = compile_messages(out, rules, model="m-1")
    assert out == middle
    assert again == out
    assert more == []


def test_a_merged_turn_keeps_the_reasoning_that_is_the_targets_own() -> None:
    """Another vendor's turn before it does not make it foreign when the thread is compiled again."""
    history = [
        AIMessage("no", response_metadata={"model_name": "m-1", "model_provider": "openai"}),
        AIMessage(
            [{"type": "thinking", "thinking": "t"}],
            response_metadata={"model_name": "m-1", "model_provider": "huggingface"},
        ),
    ]
    out, _ = compile_messages(history, RULES["huggingface"], model="m-1")
    assert {"type": "reasoning", "reasoning": "t"} in out[-1].content_blocks
    assert compile_messages(out, RULES["huggingface"], model="m-1") == (out, [])


_loops = st.lists(
    st.one_of(
        _words.map(HumanMessage),
        _words.map(SystemMessage),
        st.builds(lambda c, t: AIMessage(c, tool_calls=t), _words, _calls),
        st.builds(lambda c, i, n: ToolMessage(c, tool_call_id=i, name=n), _words, _ids, _names),
    ),
    max_size=5,
)


@pytest.mark.parametrize("target", RULES)
@settings(max_examples=100, deadline=None)
@given(history=_loops)
def test_the_shortcut_for_plain_histories_skips_nothing(target: str, history: list[BaseMessage]) -> None:
    """Where it says that nothing is to be done, the whole way does nothing."""
    if _is_plain(history, RULES[target]):
        turns, filters = _whole_way(history, RULES[target], "m-1", {}, "")
        assert filters.changes == filters.reasons == []
        assert all(message_of(t) is m for t, m in zip(turns, history, strict=True))
