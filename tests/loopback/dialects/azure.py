"""Azure OpenAI: Chat Completions with content filters."""

from tests.loopback.dialects.base import BAD_KEY, bearer, sse
from tests.loopback.dialects.openai_chat import OpenAIChat
from tests.loopback.neutral import JSON, Answer, Event, RejectedError, Request, VendorRequest
from tests.loopback.rules.azure import CHAT_RULES

SAFE = {
    "hate": {"filtered": False, "severity": "safe"},
    "self_harm": {"filtered": False, "severity": "safe"},
    "sexual": {"filtered": False, "severity": "safe"},
    "violence": {"filtered": False, "severity": "safe"},
}
PROMPT = [
    {
        "prompt_index": 0,
        "content_filter_results": {**SAFE, "jailbreak": {"filtered": False, "detected": False}},
    }
]


class AzureChat(OpenAIChat):
    """Azure's Chat Completions."""

    rules = CHAT_RULES
    stream_type = "text/event-stream; charset=utf-8"

    def authorise(self, call: VendorRequest) -> None:
        """A key in its own header, or an Entra token."""
        authorise(call)

    def body(self, call: VendorRequest, answer: Answer, ident: str) -> JSON:
        """The whole answer as one JSON value."""
        return {**super().body(call, answer, ident), "prompt_filter_results": PROMPT}

    def events(self, call: VendorRequest, request: Request, answer: Answer, ident: str) -> list[Event]:
        """The answer as the pieces of a stream; the first has no choice and no name."""
        first = {"choices": [], "created": 0, "id": "", "model": "", "object": ""}
        opening = Event(sse({**first, "prompt_filter_results": PROMPT}), "start")
        return [opening, *super().events(call, request, answer, ident)]

    def headers(self, ident: str) -> dict[str, str]:
        """The headers of an answer, without its content type."""
        return headers(ident)

    def choice(self, choice: JSON) -> JSON:
        """The choice with what the filter found in it."""
        content = choice.get("delta") or choice.get("message") or {}
        return {"content_filter_results": SAFE if content.get("content") else {}, **choice}


def authorise(call: VendorRequest) -> None:
    """A key in its own header, or an Entra token."""
    key = call.headers.get("api-key") or bearer(call)
    if not key or key == BAD_KEY:
        raise RejectedError("", kind="auth", rule="auth")


def headers(ident: str) -> dict[str, str]:
    """The headers of Azure's gateway."""
    return {
        "apim-request-id": f"apim-{ident}",
        "x-request-id": f"req-{ident}",
        "x-ms-region": "West Europe",
        "x-ms-rai-invoked": "true",
        "x-ratelimit-limit-requests": "1000",
        "x-ratelimit-limit-tokens": "100000",
        "x-ratelimit-remaining-requests": "999",
        "x-ratelimit-remaining-tokens": "99000",
        "x-ratelimit-reset-requests": "0",
        "x-ratelimit-reset-tokens": "0",
    }
