"""Structured output on targets with a native schema, and on those that can only be forced to call a tool."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from tests.cases import each
from tests.loopback.server import LoopbackServer
from tests.models import MODELS, VENDORS, deployment, model_of, summed


class City(BaseModel):
    """A city."""

    name: str
    population: int


@pytest.mark.parametrize("vendor", VENDORS)
@each("method", [None, "json_schema", "function_calling"])
@pytest.mark.parametrize("colour", ["invoke", "ainvoke", "stream"])
def test_every_vendor_gives_the_shape(server: LoopbackServer, vendor: str, method: Any, colour: str) -> None:
    """Whatever the method, the parsed answer is the pydantic object."""
    with model_of(deployment(server, vendor)) as model:
        runnable = model.with_structured_output(City, method=method)
        if colour == "stream":
            found = list(runnable.stream("Paris has 2 people"))[-1]
        else:
            found = (
                asyncio.run(runnable.ainvoke("Paris")) if colour == "ainvoke" else runnable.invoke("Paris")
            )
    assert isinstance(found, City)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_forced_tool_call_comes_back_as_text(server: LoopbackServer, *, streamed: bool) -> None:
    """Where the model has no native schema, the answer's text is the JSON all the same, and no call is left."""
    target = deployment(server, "openai").model_copy(update={"model": "openai:gpt-4-turbo"})
    schema = {"type": "json_schema", "json_schema": {"name": "City", "schema": City.model_json_schema()}}
    with model_of(target) as model:
        bound = model.bind(response_format=schema)
        message = summed(list(bound.stream("Paris"))) if streamed else bound.invoke("Paris")
    assert server.requests[0].body["tool_choice"]["function"]["name"] == "City"
    assert City.model_validate_json(message.text)
    assert message.tool_calls == []
    assert message.response_metadata["normalized_finish_reason"] == "stop"


def test_include_raw_keeps_the_message(server: LoopbackServer) -> None:
    """`include_raw` returns the message beside the parsed answer, and the error where parsing fails."""
    with model_of(deployment(server, "openai")) as model:
        out = model.with_structured_output(City, include_raw=True).invoke("Paris")
    assert isinstance(out["parsed"], City)
    assert out["raw"].response_metadata["model_name"] == MODELS["openai"]
    assert out["parsing_error"] is None


def test_wrong_methods_are_named() -> None:
    """A misspelt method and `strict` with JSON mode are errors."""
    model = model_of(model="openai:gpt-6-luna", env={"OPENAI_API_KEY": "k-123456"})
    with pytest.raises(ValueError, match="Did you mean 'json_schema'"):
        model.with_structured_output(City, method="json_shema")
    with pytest.raises(ValueError, match="strict"):
        model.with_structured_output(City, method="json_mode", strict=True)
