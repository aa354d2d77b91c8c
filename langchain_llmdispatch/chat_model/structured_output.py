"""Answers with a shape: `with_structured_output`, vendor-neutral."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass

from langchain_llmdispatch.settings import nearest
from langchain_llmdispatch.types import OutputMethod

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
    shown = {
        "kwargs": {"method": method or "json_schema", "strict": strict},
        "schema": convert_to_json_schema(schema),
    }
    bound = (
        _tool_bound(model, schema, strict, shown, kwargs)
        if method == "function_calling"
        else _format_bound(model, schema, method, strict, shown, kwargs)
    )
    parser = _tool_parser(schema) if method == "function_calling" else _text_parser(schema)
    return _with_raw(bound, parser) if include_raw else bound | parser


def _tool_bound(
    model: BaseChatModel,
    schema: dict[str, Any] | type,
    strict: bool | None,
    shown: Mapping[str, Any],
    kwargs: Mapping[str, Any],
) -> Runnable[Any, AIMessage]:
    options = dict(kwargs) if strict is None else {"strict": strict, **kwargs}
    return model.bind_tools(
        [schema], tool_choice=_tool_name(schema), ls_structured_output_format=shown, **options
    )


def _format_bound(
    model: BaseChatModel,
    schema: dict[str, Any] | type,
    method: OutputMethod | None,
    strict: bool | None,
    shown: Mapping[str, Any],
    kwargs: Mapping[str, Any],
) -> Runnable[Any, AIMessage]:
    body: dict[str, Any] = {"type": "json_object"}
    if method != "json_mode":
        json_schema = convert_to_json_schema(schema)
        named = {"name": _tool_name(schema), "schema": json_schema}
        body = {
            "type": "json_schema",
            "json_schema": named if strict is None else {**named, "strict": strict},
        }
        if method is not None:
            body["method"] = method
    return model.bind(response_format=body, ls_structured_output_format=shown, **kwargs)


def _tool_name(schema: dict[str, Any] | type) -> str:
    return str(convert_to_openai_tool(schema)["function"]["name"])


def _tool_parser(schema: dict[str, Any] | type) -> Runnable[Any, Any]:
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        return PydanticToolsParser(tools=[schema], first_tool_only=True)
    return JsonOutputKeyToolsParser(key_name=_tool_name(schema), first_tool_only=True)


def _text_parser(schema: dict[str, Any] | type) -> Runnable[Any, Any]:
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        return PydanticOutputParser(pydantic_object=schema)
    return JsonOutputParser()


def _with_raw(bound: Runnable[Any, AIMessage], parser: Runnable[Any, Any]) -> Runnable[Any, Any]:
    parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=bound) | parsed.with_fallbacks([failed], exception_key="parsing_error")
