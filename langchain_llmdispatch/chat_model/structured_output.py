"""Answers with a shape: `with_structured_output`, vendor-neutral."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_core.exceptions import ModelError, OutputParserException
from langchain_core.messages import AIMessage
from langchain_core.runnables import Runnable, RunnableLambda, RunnableMap
from langchain_core.utils.pydantic import is_basemodel_subclass

from langchain_llmdispatch.chat_model.answer_parser import AnswerParser
from langchain_llmdispatch.chat_model.answer_root import AnswerRoot
from langchain_llmdispatch.settings import check_depth, nearest
from langchain_llmdispatch.types import OutputMethod, ToolSpec

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel, LanguageModelInput
    from pydantic import BaseModel

__all__ = ["OutputMethod", "structured_output"]

_METHODS = ("json_schema", "function_calling", "json_mode")


def structured_output(
    model: BaseChatModel,
    schema: dict[str, Any] | type,
    *,
    include_raw: bool,
    method: OutputMethod | None,
    strict: bool | None,
    kwargs: Mapping[str, Any],
) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
    """Return `model` with the shape bound and a parser behind it; see `with_structured_output`."""
    if method is not None and method not in _METHODS:
        raise ValueError(f"method {method!r} is not known.{nearest(method, _METHODS)} Use one of {_METHODS}.")
    if method == "json_mode" and strict is not None:
        raise ValueError("strict has no meaning with method='json_mode'.")
    root = AnswerRoot.of(schema)
    check_depth(root.schema, "schema")
    shown = {
        "kwargs": {"method": method or "json_schema", "strict": strict},
        "schema": root.schema,
    }
    bind = _tool_bound if method == "function_calling" else _format_bound
    bound = bind(model, root, method, strict, {"ls_structured_output_format": shown, **kwargs})
    parser = AnswerParser(
        root=root,
        model=schema if isinstance(schema, type) and is_basemodel_subclass(schema) else None,
        tool=root.name if method == "function_calling" else None,
    )
    return _with_raw(bound, parser) if include_raw else bound | parser


def _tool_bound(
    model: BaseChatModel,
    root: AnswerRoot,
    method: OutputMethod | None,  # noqa: ARG001 - as `_format_bound`
    strict: bool | None,
    kwargs: Mapping[str, Any],
) -> Runnable[Any, AIMessage]:
    options = dict(kwargs) if strict is None else {"strict": strict, **kwargs}
    tool: Any = ToolSpec(root.name, root.description, root.parameters, strict)
    return model.bind_tools([tool], tool_choice=root.name, **options)


def _format_bound(
    model: BaseChatModel,
    root: AnswerRoot,
    method: OutputMethod | None,
    strict: bool | None,
    kwargs: Mapping[str, Any],
) -> Runnable[Any, AIMessage]:
    body: dict[str, Any] = {"type": "json_object"}
    if method != "json_mode":
        named = {"name": root.name, "schema": root.schema}
        body = {
            "type": "json_schema",
            "json_schema": named if strict is None else {**named, "strict": strict},
        }
        if method is not None:
            body["method"] = method
    return model.bind(response_format=body, **kwargs)


def _with_raw(bound: Runnable[Any, AIMessage], parser: AnswerParser) -> Runnable[Any, Any]:
    def parsed(made: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return {"raw": made["raw"], "parsed": parser.invoke(made["raw"]), "parsing_error": None}
        except (OutputParserException, ModelError) as error:  # what is no JSON, and a refusal
            return {"raw": made["raw"], "parsed": None, "parsing_error": error}

    async def aparsed(made: Mapping[str, Any]) -> dict[str, Any]:
        return parsed(made)

    return RunnableMap(raw=bound) | RunnableLambda(parsed, aparsed, name="parsed")
