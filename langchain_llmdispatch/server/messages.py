"""Messages in OpenAI's form as LangChain's."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from langchain_core.messages import BaseMessage, convert_to_messages
from pydantic import ValidationError

from langchain_llmdispatch.server.failures import RefusedRequestError, refusal
from langchain_llmdispatch.settings import explain_validation

_ROLES = ("developer", "system", "user", "assistant", "tool", "function")


def messages_of(values: Collection[Any], where: str = "messages") -> list[BaseMessage]:
    """Return messages.

    Args:
        values: The messages of a chat completion.
        where: The field that they are in, for errors.

    Raises:
        RefusedRequestError: One of them is not valid; the failure names it.
    """
    messages = []
    for number, value in enumerate(values):
        place = f"{where}[{number}]"
        _check(value, place)
        try:
            messages += convert_to_messages([_with_text(value)])
        except ValidationError as error:
            raise invalid(place, explain_validation(error)) from None
        except (ValueError, TypeError, KeyError, AttributeError, NotImplementedError) as error:
            raise invalid(place, str(error).partition("\n")[0]) from None
    return messages


def _check(value: Any, where: str) -> None:
    if not isinstance(value, Mapping):
        raise refusal(f"Invalid type for '{where}': expected an object.", param=where, code="invalid_type")
    if value.get("role") not in _ROLES:
        param = f"{where}.role"
        text = f"Invalid value for '{param}': one of {', '.join(_ROLES)}."
        raise refusal(text, param=param, code="invalid_value")
    content = value.get("content")
    parts = content if isinstance(content, list) else []
    whole = isinstance(content, (str, list, type(None)))
    if not whole or not all(isinstance(part, (Mapping, str)) for part in parts):
        param = f"{where}.content"
        text = f"Invalid type for '{param}': expected a string or an array of content parts."
        raise refusal(text, param=param, code="invalid_type")


def invalid(where: str, text: str) -> RefusedRequestError:
    """Return the error of a part of a request that is wrong."""
    return refusal(f"Invalid '{where}': {text}", param=where, code="invalid_value")


def _with_text(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message whose content is at least an empty text; answers with tool calls have null."""
    fields = {name: value for name, value in message.items() if value is not None}
    refused = fields.pop("refusal", "")
    return {**fields, "content": fields.get("content") or refused or ""}
