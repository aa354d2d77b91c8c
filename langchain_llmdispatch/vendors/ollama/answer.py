"""From an Ollama answer to a message: one object, or one line of a stream.

Each line of a stream is an answer in small, `{"message": {...}, "done": false}`; the one with `"done": true`
ends it, carries the counters and may hold content. Tool calls come whole, often without an id.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage

from langchain_llmdispatch.errors import EmptyAnswerError, MalformedResponseError
from langchain_llmdispatch.internal.json_format import dump_json
from langchain_llmdispatch.vendors.answer import ToolCalls, json_object, model_of, text_of
from langchain_llmdispatch.vendors.argument_text import arguments_of
from langchain_llmdispatch.vendors.finish_reasons import ending
from langchain_llmdispatch.vendors.ollama.errors import error_inside
from langchain_llmdispatch.vendors.usage import usage_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.messages.ai import UsageMetadata

    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.errors import ErrorContext

PROVIDER = "ollama"

# The model was loaded or unloaded and nothing was generated.
_NO_GENERATION = frozenset({"load", "unload"})
_KEPT = (
    "created_at", "done_reason", "total_duration", "load_duration", "prompt_eval_count",
    "prompt_eval_duration", "eval_count", "eval_duration",
)  # fmt: skip


def decode_answer(context: ErrorContext, body: bytes) -> AIMessage:
    """Return the message in the body of an answer that was not streamed.

    Raises:
        MalformedResponseError: It is no whole answer.
        EmptyAnswerError: The server only loaded or unloaded the model.
        VendorError: It is an error after all.
    """
    answer = json_object(body, context)
    if error := error_inside(context, answer):
        raise error
    message = answer.get("message")
    if not isinstance(message, dict) or answer.get("done") is not True:
        raise context.error(MalformedResponseError, "the answer has no message, or is not done")
    calls = ToolCalls(context.call.tool_names)
    for index, item in enumerate(message.get("tool_calls") or ()):
        name, args, identity = call_parts(answer, item, index)
        calls.add(name, args, calls.ids.own(identity))
    content, thinking = message.get("content") or "", message.get("thinking")
    if not content and not calls.valid:
        check_generated(context, answer)
    return AIMessage(
        content=text_of(content),
        additional_kwargs={"reasoning_content": text_of(thinking)} if thinking else {},
        tool_calls=calls.valid,
        invalid_tool_calls=calls.invalid,
        usage_metadata=usage_metadata(answer),
        response_metadata=metadata(context.call, answer, answer.get("logprobs"), called=bool(calls)),
    )


def check_generated(context: ErrorContext, answer: Mapping[str, Any]) -> None:
    """Check an answer without content.

    Raises:
        EmptyAnswerError: The server only loaded or unloaded the model.
    """
    if (reason := answer.get("done_reason")) in _NO_GENERATION:
        raise context.error(EmptyAnswerError, f"nothing was generated (done_reason {reason})")


def call_parts(answer: Mapping[str, Any], item: Mapping[str, Any], index: int) -> tuple[str, Any, str]:
    """Return a call's name, its arguments (a dict if they are an object) and its id."""
    function = item.get("function") or {}
    name = function.get("name") or ""
    args = function.get("arguments")
    if isinstance(args, str):  # proxies send text, as OpenAI does; its `null` is no object here
        parsed = None if args.strip() == "null" else arguments_of(args)
        args = args if parsed is None else parsed
    args = {} if args is None else args
    return name, args, item.get("id") or _made_id(answer, name, args, index)


def _made_id(answer: Mapping[str, Any], name: str, args: Any, index: int) -> str:
    """Return an id for a call without one: the same for the same answer, another in the next turn."""
    seed = dump_json([answer.get("created_at"), answer.get("model"), name, args])
    return f"call_{sha256(seed).hexdigest()[:16]}_{index}"


def usage_metadata(answer: Mapping[str, Any]) -> UsageMetadata | None:
    """Return the usage if both counters came: an absent one may be a cached prompt as well as a zero."""
    read, written = answer.get("prompt_eval_count"), answer.get("eval_count")
    return usage_of(read, written)


def metadata(call: Call, answer: Mapping[str, Any], logprobs: Any, *, called: bool) -> dict[str, Any]:
    """Return the response metadata of an answer.

    Args:
        call: The call that is answered.
        answer: The answer, or the last line of a stream.
        logprobs: All log probabilities of the answer, if any.
        called: Whether the answer holds tool calls.

    Raises:
        MalformedResponseError: The reason means that there is no answer.
    """
    found: dict[str, Any] = {
        "model_provider": PROVIDER,
        "model_name": model_of(answer, call.model),
        # Ollama's reason is "stop" after tool calls too.
        **ending(answer.get("done_reason"), calls=called),
    }
    found.update((name, answer[name]) for name in _KEPT if answer.get(name) is not None)
    if logprobs:
        found["logprobs"] = logprobs
    return found
