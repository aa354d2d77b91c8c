"""Parts of the model: pydantic has one class of them to collect fields of."""

from __future__ import annotations

from pydantic import BaseModel

from langchain_llmdispatch import DispatcherChatModel
from langchain_llmdispatch.chat_model.managed import ManagedModel
from langchain_llmdispatch.chat_model.part import ModelPart


def test_parts_are_plain_classes() -> None:
    """No part is a model of pydantic's, and the one class with fields comes after all of them."""
    order = DispatcherChatModel.__mro__
    parts = [cls for cls in order if issubclass(cls, ModelPart) and cls is not DispatcherChatModel]
    assert len(parts) > 1
    assert not any(issubclass(part, BaseModel) for part in parts)
    assert order[len(parts) + 1] is ManagedModel
