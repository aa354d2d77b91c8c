"""`Prototype`: instances that equal validated ones, and share nothing that changes."""

from __future__ import annotations

import pickle

from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from langchain_llmdispatch.internal.prototypes import Prototype

_CHUNK = Prototype(AIMessageChunk(content=""))


def test_an_instance_equals_a_validated_one() -> None:
    """With the same fields set, pickled and dumped alike."""
    made, valid = _CHUNK.made(content="a", id="1"), AIMessageChunk(content="a", id="1")
    made.id = "2"
    valid.id = "2"
    assert made == valid
    assert made.model_dump() == valid.model_dump()
    assert pickle.loads(pickle.dumps(made)) == valid


def test_instances_do_not_share_what_is_set_later() -> None:
    """A field of one is no field of another, nor is what the model does not define."""
    first, second = _CHUNK.made(content="a"), _CHUNK.made(content="b")
    first.name = "n"
    first.__pydantic_extra__["more"] = 1
    assert second.name is None
    assert second.model_fields_set == {"content"}
    assert second.model_extra == {}


def test_a_model_that_takes_no_undefined_fields_takes_none() -> None:
    """As a validated one."""
    message = AIMessageChunk(content="a")
    made = Prototype(ChatGenerationChunk(message=message)).made(text="a")
    assert made == ChatGenerationChunk(message=message)
    assert made.model_extra is None
