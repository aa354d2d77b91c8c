"""The wire formats, one module each."""

from tests.loopback.dialects.anthropic import Anthropic
from tests.loopback.dialects.azure import AzureChat
from tests.loopback.dialects.base import VendorDialect
from tests.loopback.dialects.cohere import Cohere
from tests.loopback.dialects.google import Google
from tests.loopback.dialects.huggingface import HuggingFaceChat
from tests.loopback.dialects.ollama import Ollama
from tests.loopback.dialects.openai_chat import Compatible, OpenAIChat
from tests.loopback.dialects.openai_responses import OpenAIResponses

DIALECTS: dict[tuple[str, str], VendorDialect] = {
    ("openai", "chat"): OpenAIChat("openai"),
    ("openai", "responses"): OpenAIResponses("openai"),
    ("azure", "chat"): AzureChat("azure"),
    ("azure", "responses"): OpenAIResponses("azure"),
    ("huggingface", "chat"): HuggingFaceChat("huggingface"),
    ("compatible", "chat"): Compatible("compatible"),
    ("mistralai", "chat"): Compatible("mistralai"),
    ("xai", "chat"): Compatible("xai"),
    ("anthropic", "messages"): Anthropic("anthropic"),
    ("google", "generate"): Google("google"),
    ("cohere", "chat"): Cohere("cohere"),
    ("ollama", "chat"): Ollama("ollama"),
}

__all__ = ["DIALECTS", "VendorDialect"]
