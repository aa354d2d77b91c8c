"""What the rules allow of each block."""

from __future__ import annotations

import math
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    ToolMessage,
)

from langchain_llmdispatch.errors import UnsupportedFeatureError
from langchain_llmdispatch.vendors import builtin_vendors
from langchain_llmdispatch.vendors.base import HistoryRules
from langchain_llmdispatch.vendors.history.answer_blocks import arguments
from langchain_llmdispatch.vendors.history.compile import (
    check_messages,
    compile_messages,
)
from langchain_llmdispatch.vendors.server_state import HOST, digest
from tests.vendors.history.threads import PNG, RULES, answer_of, compiled, types


def test_native_reasoning_returns_byte_for_byte() -> None:
    """Signatures, redacted thinking and their order survive on the vendor and model that wrote them."""
    out, kinds = compiled([HumanMessage("hi"), answer_of("anthropic"), HumanMessage("go on")], "anthropic")
    assert out[1].content[:2] == [
        {"type": "reasoning", "reasoning": "Hm.", "extras": {"signature": "EqQB"}},
        {"type": "non_standard", "value": {"type": "redacted_thinking", "data": "ZZZ"}},
    ]
    assert kinds == ["result_synthesised"]


def test_reasoning_of_another_model_or_vendor_is_dropped() -> None:
    """`same_model` compares without snapshot dates; Azure's ciphertext is nothing to OpenAI."""
    history: list[BaseMessage] = [HumanMessage("hi"), answer_of("anthropic")]
    _, kinds = compiled(history, "anthropic", model="m-2")
    assert kinds.count("reasoning_dropped") == 2
    azure = answer_of("responses")
    azure.response_metadata["llmdispatch"] = {"vendor": "azure"}
    out, kinds = compiled([HumanMessage("hi"), azure], "responses", vendor="openai")
    assert "reasoning_dropped" in kinds
    assert isinstance(out[1].content, str)


def test_item_ids_stay_at_home_only() -> None:
    """A Responses turn keeps `rs_`, `msg_` and `fc_` ids for itself; they go to no other target."""
    history: list[BaseMessage] = [HumanMessage("hi"), answer_of("responses")]
    home, _ = compiled(history, "responses")
    assert [b.get("id") for b in home[1].content if isinstance(b, dict)] == ["rs_1", "msg_1", "call_A1"]
    away, _ = compiled(history, "google")
    assert "msg_1" not in str(away)
    assert "fc_1" not in str(away)


def test_names_are_spelled_or_dropped() -> None:
    """OpenAI refuses spaces in names, the others refuse names."""
    history: list[BaseMessage] = [HumanMessage("hi", name="User Onboarding Agent")]
    assert compiled(history, "openai")[0][0].name == "User_Onboarding_Agent"
    out, kinds = compiled(history, "cohere")
    assert out[0].name is None
    assert kinds == ["name_dropped"]


def test_images_in_results_move_to_a_user_turn() -> None:
    """Where results hold text only, the image follows as the user's, a placeholder stays."""
    history: list[BaseMessage] = [
        HumanMessage("hi"),
        answer_of("openai"),
        ToolMessage([{"type": "text", "text": "see"}, PNG], tool_call_id="call_A1"),
    ]
    out, kinds = compiled(history, "openai")
    assert out[2].content == [
        {"type": "text", "text": "see"},
        {"type": "text", "text": "[image: see the next user message]"},
    ]
    assert out[3].content == [{"type": "text", "text": "[From the result of the tool look]"}, PNG]
    assert "media_moved" in kinds
    assert PNG in compiled(history, "anthropic")[0][2].content


def test_images_of_the_assistants_move_too() -> None:
    """An image that a model made goes on as the user's; it is dropped where the target sees none."""
    made = AIMessage([{"type": "text", "text": "here"}, PNG], response_metadata={"output_version": "v1"})
    history: list[BaseMessage] = [HumanMessage("draw"), made, HumanMessage("bigger")]
    out, _ = compiled(history, "google")
    assert [type(m).__name__ for m in out] == ["HumanMessage", "AIMessage", "HumanMessage", "HumanMessage"]
    assert PNG in out[2].content
    blind = HistoryRules("x", user_media=frozenset())
    out, changes = compile_messages(history, blind, model="m")
    assert [c.kind for c in changes] == ["media_dropped"]
    assert changes[0].lossy


def test_media_that_a_target_cannot_take_are_illegal() -> None:
    """Not dropped silently: the dispatcher goes elsewhere."""
    history: list[BaseMessage] = [HumanMessage([{"type": "video", "url": "https://x/v.mp4"}])]
    verdict = check_messages(history, RULES["openai"], model="m")
    assert verdict.verdict == "illegal"
    assert verdict.reasons == ("message 0 holds video input given by URL, which the target does not take",)
    with pytest.raises(UnsupportedFeatureError, match="video"):
        compiled(history, "openai")
    with pytest.raises(UnsupportedFeatureError, match="nothing is left"):
        compiled([HumanMessage(" ")], "anthropic")


def test_cache_markers_and_citations_go_where_they_are_understood() -> None:
    """Anthropic keeps both, the others see neither."""
    text = {"type": "text", "text": "long", "cache_control": {"type": "ephemeral"}}
    quoted = {"type": "text", "text": "q", "citations": [{"type": "page_location", "cited_text": "x"}]}
    answer = AIMessage([quoted], response_metadata={"model_provider": "anthropic", "model_name": "m-1"})
    history: list[BaseMessage] = [HumanMessage([text]), answer, HumanMessage("ok")]
    home, kinds = compiled(history, "anthropic")
    assert home[0] is history[0]
    assert home[1].content[0]["annotations"][0]["cited_text"] == "x"
    assert kinds == []
    away, kinds = compiled(history, "openai")
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
    away, kinds = compiled(history, "google")
    assert away[1].content[0]["text"] == "[Result of a tool]\nT\nhttps://t"
    assert "SECRET" not in str(away)
    assert kinds == ["server_tool_dropped", "server_tool_dropped"]
    home, kinds = compiled(history, "anthropic")
    assert types(home[1]) == ["server_tool_call", "server_tool_result", "text"]
    assert kinds == []


def test_refusals_go_on_as_text() -> None:
    """Neither the block nor the `additional_kwargs` field is known to others."""
    block = AIMessage([{"type": "refusal", "refusal": "No."}], response_metadata={"model_provider": "openai"})
    kwarg = AIMessage("", additional_kwargs={"refusal": "No."})
    for message in (block, kwarg):
        out, kinds = compiled([HumanMessage("hi"), message, HumanMessage("please")], "cohere")
        assert out[1].content == "No."
        assert kinds == ["refusal_to_text"]


def test_numbers_that_json_does_not_have() -> None:
    """They are spelled, as in protobuf's JSON, and reported; texts of arguments are read by the same rules."""
    args = {"x": math.nan, "y": [1.5, {"z": -math.inf}]}
    call = AIMessage("", tool_calls=[{"name": "look", "args": args, "id": "call_A1"}])
    result = ToolMessage("1", tool_call_id="call_A1", name="look")
    history: list[BaseMessage] = [HumanMessage("hi"), call, result]
    for target in RULES:
        out, kinds = compiled(history, target)
        answer = out[1]
        assert isinstance(answer, AIMessage)
        assert answer.tool_calls[0]["args"] == {"x": "NaN", "y": [1.5, {"z": "-Infinity"}]}
        assert "numbers_in_words" in kinds
    assert math.isnan(call.tool_calls[0]["args"]["x"])  # stored messages stay
    assert arguments('{"x": NaN, "code": "a\n\tb"}') == {"x": "NaN", "code": "a\n\tb"}


def test_opaque_parts_stay_where_they_were_made() -> None:
    """OpenAI's is not Azure's, one resource's not another's, Vertex's not the Gemini API's."""
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "CIPHER"}
    blocks = [thought, {"type": "text", "text": "Hi."}]

    def kept(vendor: str, metadata: dict[str, Any], host: str | None = None) -> bool:
        turn = AIMessage(
            blocks, response_metadata={"model_provider": "openai", "model_name": "m", **metadata}
        )
        history = [HumanMessage("a"), turn, HumanMessage("b")]
        rules = builtin_vendors()[vendor].history
        out, _ = compile_messages(history, rules, model="m", vendor=vendor, host=host)
        return "CIPHER" in str(out[1].content)

    azure = {"llmdispatch": {"vendor": "azure"}, HOST: digest("one.openai.azure.com")}
    assert kept("openai", {})
    assert not kept("azure", {})
    assert not kept("openai", azure)
    assert kept("azure", azure, "one.openai.azure.com")
    assert not kept("azure", azure, "two.openai.azure.com")
    assert kept("azure", azure)
    assert kept("azure", {"llmdispatch": {"vendor": "azure"}}, "one.openai.azure.com")
    signed = AIMessage(
        [{"type": "text", "text": "Hi.", "extras": {"signature": "SIGNED"}}],
        response_metadata={"model_provider": "google_vertexai", "model_name": "m"},
    )
    rules = builtin_vendors()["google"].history
    out, _ = compile_messages(
        [HumanMessage("a"), signed, HumanMessage("b")], rules, model="m", vendor="google"
    )
    assert (out[1].text, "SIGNED" in str(out[1].content)) == ("Hi.", False)
