"""Which vendor, account and API an address means."""

import re
from dataclasses import dataclass
from typing import Any

from tests.loopback.neutral import JSON

ROUTES: tuple[tuple[str, str, str], ...] = (
    (r"/openai/v1/chat/completions", "openai", "chat"),
    (r"/openai/v1/responses", "openai", "responses"),
    (r"/azure/openai/deployments/(?P<model>[^/]+)/chat/completions", "azure", "chat"),
    (r"/azure/openai/v1/chat/completions", "azure", "chat"),
    (r"/azure/openai/v1/responses", "azure", "responses"),
    (r"/azure/openai/responses", "azure", "responses"),
    (r"/huggingface/v1/chat/completions", "huggingface", "chat"),
    (r"/compatible/v1/chat/completions", "compatible", "chat"),
    (r"/mistralai/v1/chat/completions", "mistralai", "chat"),
    (r"/xai/v1/chat/completions", "xai", "chat"),
    (r"/anthropic/v1/messages", "anthropic", "messages"),
    (
        r"/google/v1(?:beta|alpha)?/models/(?P<model>[^/:]+):(?P<verb>(?:streamG|g)enerateContent)",
        "google",
        "generate",
    ),
    (r"/cohere/v2/chat", "cohere", "chat"),
    (r"/ollama/api/chat", "ollama", "chat"),
    (r"/ollama/api/tags", "ollama", "tags"),
)
BASES = {
    "openai": "/openai/v1",
    "azure": "/azure",
    "huggingface": "/huggingface/v1",
    "compatible": "/compatible/v1",
    "mistralai": "/mistralai/v1",
    "xai": "/xai/v1",
    "anthropic": "/anthropic",
    "google": "/google",
    "cohere": "/cohere",
    "ollama": "/ollama",
}
ACCOUNT = re.compile(r"/@(?P<account>[\w.-]+)(?P<rest>/.*)")


@dataclass(frozen=True, slots=True)
class Route:
    """What an address means; `api` is empty when the vendor has no such address."""

    vendor: str
    account: str
    api: str
    model: str | None = None
    verb: str = ""

    def model_in(self, body: JSON) -> str | None:
        """The model that the request names, in the address or in the body."""
        named = self.model or body.get("model")
        return named if isinstance(named, str) and named else None

    def streams(self, body: JSON) -> bool:
        """Whether the answer is to be streamed; Ollama streams by default."""
        if self.verb:
            return self.verb == "streamGenerateContent"
        streams: Any = body.get("stream", self.vendor == "ollama")
        return bool(streams)


def resolve(path: str) -> Route:
    """The meaning of a path."""
    found = ACCOUNT.fullmatch(path)
    account, rest = (found["account"], found["rest"]) if found else ("", path)
    for pattern, vendor, api in ROUTES:
        match = re.fullmatch(pattern, rest)
        if match:
            groups = match.groupdict()
            return Route(vendor, account, api, groups.get("model"), groups.get("verb", ""))
    vendor = rest.split("/")[1] if rest.count("/") else ""
    return Route(vendor if vendor in BASES else "openai", account, "")
