"""Conversations for tests: rules of seven vendors, turns as their packages write them, random histories."""

from __future__ import annotations

import copy
import re
from typing import Any

from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_llmdispatch.vendors.base import HistoryRules
from langchain_llmdispatch.vendors.history.compile import (
    compile_messages,
)

_ALL_MEDIA = frozenset({"image", "image_url", "pdf", "pdf_url", "audio", "video", "file"})


SAFE_ID = re.compile(r"[a-zA-Z0-9_-]+")


# The seven vendors' histories.
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
        tool_id=SAFE_ID,
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


def compiled(messages: list[BaseMessage], target: str, **more: Any) -> tuple[list[BaseMessage], list[str]]:
    out, changes = compile_messages(messages, RULES[target], model=more.pop("model", "m-1"), **more)
    return out, [change.kind for change in changes]


def answer_of(source: str) -> AIMessage:
    """Return an assistant's turn with text and one call, as the vendor's package writes it."""
    return copy.deepcopy(TURNS[source])


TURNS = {
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


def types(message: BaseMessage) -> list[str]:
    return ["text"] if isinstance(message.content, str) else [str(b["type"]) for b in message.content]


PNG = {"type": "image", "base64": "aGk=", "mime_type": "image/png"}


words = st.sampled_from(["", " ", "hello", "what is it?", "\n"])


ids = st.sampled_from(["call_1", "functions.f:0", "a|b", "", "toolu_9", "x" * 70])


names = st.sampled_from(["f", "g", "my tool"])


_blocks = st.one_of(
    words.map(lambda text: {"type": "text", "text": text}),
    words,
    st.sampled_from(
        [
            PNG,
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
        PNG,
        "plain",
    ]
)


calls = st.lists(
    st.builds(lambda n, i: {"name": n, "args": {"a": 1}, "id": i or None}, names, ids), max_size=3
)


@st.composite
def assistants(draw: st.DrawFn) -> AIMessage:
    content = draw(st.one_of(words, st.lists(_raw, max_size=4)))
    metadata: dict[str, Any] = {"model_name": draw(st.sampled_from(["m-1", "m-2"]))}
    if provider := draw(_providers):
        metadata["model_provider"] = provider
    if isinstance(content, list) and draw(st.booleans()):
        metadata["output_version"] = "v1"
    kwargs = draw(st.sampled_from([{}, {"reasoning_content": "r"}, {"refusal": "no"}, {"refusal": None}]))
    invalid = draw(st.sampled_from([[], [{"name": "f", "args": "{", "id": "bad", "error": None}]]))
    return AIMessage(
        copy.deepcopy(content),
        tool_calls=draw(calls),
        invalid_tool_calls=invalid,
        additional_kwargs=dict(kwargs),
        response_metadata=metadata,
        name=draw(st.sampled_from([None, "agent 1"])),
    )


_inputs = st.one_of(words, st.lists(_blocks, max_size=3).map(copy.deepcopy))


histories = st.lists(
    st.one_of(
        _inputs.map(SystemMessage),
        st.builds(lambda c, n: HumanMessage(c, name=n), _inputs, st.sampled_from([None, "a b", "!"])),
        assistants(),
        assistants(),
        st.builds(
            lambda c, i, n: ToolMessage(c, tool_call_id=i, name=n),
            _inputs,
            ids,
            st.one_of(st.none(), names),
        ),
    ),
    min_size=1,
    max_size=8,
)


loops = st.lists(
    st.one_of(
        words.map(HumanMessage),
        words.map(SystemMessage),
        st.builds(lambda c, t: AIMessage(c, tool_calls=t), words, calls),
        st.builds(lambda c, i, n: ToolMessage(c, tool_call_id=i, name=n), words, ids, names),
    ),
    max_size=5,
)
