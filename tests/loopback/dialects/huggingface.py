"""Hugging Face's router: Chat Completions by one of many providers."""

from tests.loopback.dialects.openai_chat import OpenAIChat
from tests.loopback.rules.openai import LENIENT_RULES


class HuggingFaceChat(OpenAIChat):
    """The router's Chat Completions."""

    rules = LENIENT_RULES
    reasoning_field = "reasoning"

    def headers(self, ident: str) -> dict[str, str]:
        """The headers of an answer, without its content type."""
        return {
            "x-request-id": f"req_{ident}",
            "x-inference-provider": "loopback",
            "x-inference-id": ident,
            "x-powered-by": "huggingface-moon",
            "ratelimit": '"api";r=999;t=300',
            "ratelimit-policy": '"fixed window";"api";q=1000;w=300',
        }
