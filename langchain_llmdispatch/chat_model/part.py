"""The base of what `DispatcherChatModel` is made of, a class for each thing that it does.

pydantic collects all fields again in each subclass of a model, about 1 ms of an import each. Parts have no
fields, so at run time they are plain classes beside `ManagedModel`, which has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_llmdispatch.chat_model.managed import ManagedModel as ModelPart
else:

    class ModelPart:
        """Methods of a model, without fields: what they use of it is in `ManagedModel`."""


__all__ = ["ModelPart"]
