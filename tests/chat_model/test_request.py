"""Requests are frozen from messages and keywords: neutral parameters, tools, and words for the vendor's body."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.prompts import ChatPromptTemplate

from langchain_llmdispatch import ConfigurationError, DispatcherChatModel, InvalidRequestError
from langchain_llmdispatch.chat_model.request import RequestDefaults, messages_of
from langchain_llmdispatch.types import ChatRequest, ToolChoice
from tests.cases import each

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
DEFAULTS = RequestDefaults({"temperature": 0.5, "stop": ["a"]}, "drop", "fast")


def frozen(stop: Any = None, **kwargs: Any) -> ChatRequest:
    """Return a request of one message."""
    return DEFAULTS.freeze([HumanMessage("hi")], stop, kwargs)


def test_without_keywords_the_defaults_hold() -> None:
    """Nothing is copied that cannot change."""
    request = frozen()
    assert request.params is DEFAULTS.params
    assert (request.unsupported_params, request.route, request.stream) == ("drop", "fast", False)
    assert (request.tools, request.extra, request.output) == ((), {}, None)


@each(
    ("stop", "kwargs", "params"),
    [
        (None, {"temperature": 0}, {"temperature": 0, "stop": ["a"]}),
        (None, {"temperature": None}, {"stop": ["a"]}),
        (["b"], {}, {"temperature": 0.5, "stop": ["b"]}),
        ("END", {}, {"temperature": 0.5, "stop": ["END"]}),
        (None, {"stop_sequences": "END"}, {"temperature": 0.5, "stop": ["END"]}),
        ("", {}, {"temperature": 0.5}),
        ([], {}, {"temperature": 0.5}),
        (None, {"reasoning_effort": "low"}, {"temperature": 0.5, "stop": ["a"], "reasoning_effort": "low"}),
    ],
)
def test_a_calls_parameters_win(stop: Any, kwargs: dict[str, Any], params: dict[str, Any]) -> None:
    """None and an empty list take a default away."""
    assert frozen(stop, **kwargs).params == params


def test_what_is_not_neutral_goes_into_the_body() -> None:
    """Words that LangChain and agents use for themselves do not."""
    request = frozen(store=True, ls_structured_output_format={}, tags=["x"], n=1)
    assert request.extra == {"store": True}


def test_tools_choices_and_formats_become_neutral() -> None:
    """Each has a field of its own, and none stays among the words for the body."""
    request = frozen(
        tools=[TOOL, {"type": "web_search"}],
        tool_choice="f",
        parallel_tool_calls=False,
        response_format={"type": "json_object"},
        strict=True,
    )
    assert [tool.name for tool in request.tools] == ["f"]
    assert request.server_tools == ({"type": "web_search"},)
    assert request.tool_choice == ToolChoice("tool", "f")
    assert request.output is not None
    assert (request.parallel_tool_calls, request.extra) == (False, {})
    assert frozen(tools=[TOOL], tool_choice=False).tool_choice is None
    with pytest.raises(ValueError, match="'g'"):
        frozen(tools=[TOOL], tool_choice="g")


def test_several_answers_per_call_are_refused() -> None:
    """The message names what to use."""
    with pytest.raises(ConfigurationError, match="batch"):
        frozen(n=2)


def test_a_call_without_messages_is_refused() -> None:
    """Before anything is planned or sent."""
    model = DispatcherChatModel(model="ollama:x", env={})
    for call in (model.invoke, model.explain):
        with pytest.raises(InvalidRequestError, match="messages is empty"):
            call([])


def test_defaults_are_what_the_fields_say() -> None:
    """Parameters that are not set, and empty lists, are left out; a route is only a string."""
    model = DispatcherChatModel(model="ollama:x", max_tokens=7, stop=[], model_kwargs={"store": True}, env={})
    assert RequestDefaults.of(model) == RequestDefaults(
        {"max_tokens": 7}, "adapt", "ollama:x", {"store": True}
    )
    assert RequestDefaults.of(DispatcherChatModel(models=["ollama:x"], env={})).route is None


@each(
    "given",
    [
        "hi",
        [("user", "hi")],
        [{"role": "user", "content": "hi"}],
        ChatPromptTemplate.from_template("hi").invoke({}),
    ],
)
def test_input_in_any_form_becomes_messages(given: Any) -> None:
    """Text, tuples, dicts and prompts, as `invoke` takes them."""
    assert messages_of(given) == [HumanMessage("hi")]


@each("stop", [5, [5], {"END": 1}, b"END", [["END"]]])
def test_stop_words_are_texts(stop: Any) -> None:
    """Anything else is named before a vendor sees it."""
    with pytest.raises(ConfigurationError, match="stop=.* is neither a text nor a list of texts"):
        frozen(stop)
