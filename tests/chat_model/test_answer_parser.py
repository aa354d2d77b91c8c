"""Values read from answers: none of an answer that was cut, with every vendor and in every colour."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import pytest
from langchain_core.exceptions import ModelError, ModelRefusalError, OutputParserException
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable
from pydantic import BaseModel, ConfigDict, RootModel
from pydantic.v1 import BaseModel as BaseModelV1
from typing_extensions import TypedDict

from langchain_llmdispatch.chat_model.answer_parser import AnswerParser
from langchain_llmdispatch.chat_model.answer_root import AnswerRoot
from tests.cases import each
from tests.loopback.neutral import Answer, ToolCall
from tests.loopback.server import LoopbackServer
from tests.models import VENDORS, deployment, model_of


class Order(BaseModel):
    """An order."""

    amount: int
    items: list[str] = []


class OrderDict(TypedDict):
    """An order."""

    amount: int


class OrderV1(BaseModelV1):
    """An order, in the older pydantic."""

    amount: int


_SCHEMA = {
    "title": "Order",
    "type": "object",
    "properties": {"amount": {"type": "integer"}},
    "required": ["amount"],
}
_SHAPES = {"pydantic": Order, "typed_dict": OrderDict, "json_schema": _SCHEMA, "pydantic1": OrderV1}
_WHOLE = '{"amount": 1250, "items": ["a"]}'
_CUT = '{"amount": 12'


def _invoke(runnable: Runnable[Any, Any]) -> Any:
    return runnable.invoke("x")


def _ainvoke(runnable: Runnable[Any, Any]) -> Any:
    return asyncio.run(runnable.ainvoke("x"))


def _stream(runnable: Runnable[Any, Any]) -> Any:
    return list(runnable.stream("x"))[-1]


def _astream(runnable: Runnable[Any, Any]) -> Any:
    async def collect() -> list[Any]:
        return [value async for value in runnable.astream("x")]

    return asyncio.run(collect())[-1]


_COLOURS = {"invoke": _invoke, "ainvoke": _ainvoke, "stream": _stream, "astream": _astream}


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("colour", _COLOURS)
@each("answer", [(_CUT, "length"), (_CUT, "content_filter"), (_CUT, "stop"), (_WHOLE, "length")])
def test_a_cut_answer_has_no_value(
    server: LoopbackServer, vendor: str, colour: str, answer: tuple[str, Any]
) -> None:
    """By a limit or a filter, or JSON that is open at its end; what a limit cut, even where it looks whole."""
    # Some vendors' filters are a refusal, and Cohere's an error.
    errors = (OutputParserException, ModelError) if answer[1] == "content_filter" else OutputParserException
    with model_of(deployment(server, vendor)) as model:
        server.script(vendor, [Answer(answer[0], finish=answer[1])], repeat=True)
        for shape in _SHAPES.values():
            with pytest.raises(errors):
                _COLOURS[colour](model.with_structured_output(shape))
        if (vendor, answer[1]) == ("cohere", "content_filter"):
            return
        made = _COLOURS[colour](model.with_structured_output(Order, include_raw=True))
        assert (made["parsed"], made["raw"].text) == (None, answer[0])
        assert isinstance(made["parsing_error"], errors)


@pytest.mark.parametrize("vendor", VENDORS)
@each("shape", _SHAPES)
@pytest.mark.parametrize("colour", _COLOURS)
def test_a_whole_answer_has_its_value(server: LoopbackServer, vendor: str, shape: str, colour: str) -> None:
    """The last value of a stream is the whole one."""
    with model_of(deployment(server, vendor)) as model:
        server.script(vendor, [Answer(f"```json\n{_WHOLE}\n```")], repeat=True)
        value = _COLOURS[colour](model.with_structured_output(_SHAPES[shape]))
    assert (value["amount"] if isinstance(value, dict) else value.amount) == 1250


@pytest.mark.parametrize("method", ["json_mode", "function_calling"])
def test_other_methods_give_no_cut_value_either(server: LoopbackServer, method: Any) -> None:
    """JSON mode; and a call whose arguments look whole in an answer that was cut."""
    call = ToolCall("Order", '{"amount": 12}')
    cut = Answer(_CUT) if method == "json_mode" else Answer(tool_calls=(call,), finish="length")
    with model_of(deployment(server, "openai")) as model:
        server.script("openai", [cut], repeat=True)
        structured = model.with_structured_output(_SCHEMA, method=method)
        for run in _COLOURS.values():
            with pytest.raises(OutputParserException):
                run(structured)


def test_a_streamed_dict_grows_and_a_streamed_object_comes_whole(server: LoopbackServer) -> None:
    """No number is seen before its last digit."""
    with model_of(deployment(server, "openai")) as model:
        server.script("openai", [Answer(_WHOLE)], repeat=True)
        dicts = list(model.with_structured_output(_SCHEMA).stream("x"))
        objects = list(model.with_structured_output(Order).stream("x"))
    assert len(dicts) > 1
    assert {value["amount"] for value in dicts if "amount" in value} == {1250}
    assert objects == [Order(amount=1250, items=["a"])]


def _parser(shape: Any, **more: Any) -> AnswerParser:
    return AnswerParser(root=AnswerRoot.of(shape), model=shape if isinstance(shape, type) else None, **more)


class _Names(RootModel[list[str]]):
    pass


def test_a_value_that_is_no_object_is_unwrapped() -> None:
    """Also where the model gave it bare."""
    for text in ('{"value": ["a", "b"]}', '["a", "b"]'):
        assert _parser(_Names).invoke(AIMessage(text)) == _Names(["a", "b"])
    number = {"title": "Count", "type": "integer"}
    assert _parser(number).invoke(AIMessage('{"value": 3}')) == 3


def test_nulls_that_only_stand_for_absence_go() -> None:
    """Strict schemas make optional properties null, which their defaults forbid."""
    assert _parser(Order).invoke(AIMessage('{"amount": 1, "items": null}')) == Order(amount=1)


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    day: dt.date
    pair: tuple[int, int]


def test_a_strict_class_reads_json() -> None:
    """Dates and tuples have no form of their own in JSON."""
    value = _parser(_Strict).invoke(AIMessage('{"day": "2026-01-02", "pair": [1, 2]}'))
    assert value == _Strict(day=dt.date(2026, 1, 2), pair=(1, 2))


def test_other_json_and_refusals_are_errors() -> None:
    """A list where an object is due, another shape, a model that refuses."""
    for text in ("[1]", '{"amount": "many"}', "null"):
        with pytest.raises(OutputParserException, match="no Order"):
            _parser(Order).invoke(AIMessage(text))
    refusal = AIMessage([{"type": "refusal", "refusal": "No."}], response_metadata={"output_version": "v1"})
    with pytest.raises(ModelRefusalError):
        _parser(Order).invoke(refusal)


@pytest.mark.parametrize(
    "text",
    [
        '{"amount": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"amount": ' + "[" * 300,
        f'{{"amount": {"9" * 5000}}}',
    ],
    ids=["deeper than any stack", "deep and open", "thousands of digits"],
)
def test_json_that_nothing_can_hold(server: LoopbackServer, text: str) -> None:
    """It is no value, whole and streamed; Python's own limits do not show."""
    server.script("openai", [Answer(text=text)], repeat=True)
    for shape in _SHAPES.values():
        runnable = model_of(deployment(server, "openai")).with_structured_output(shape)
        for read in (_invoke, _ainvoke, lambda chain: list(chain.stream("x"))):
            with pytest.raises(OutputParserException):
                read(runnable)


def test_a_tool_that_was_not_called_has_no_value() -> None:
    """The model answered in words; so do LangChain's parsers of tools."""
    assert _parser(Order, tool="Order").invoke(AIMessage("I would rather not.")) is None
