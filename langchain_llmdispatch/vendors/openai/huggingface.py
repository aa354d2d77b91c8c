"""Hugging Face: the router of inference providers, dedicated endpoints, and TGI servers.

TGI's ways with the format (`data:` without a space, no `[DONE]`, `eos_token`, integer ids, arguments as an
object, an empty id) are read by the shared decoder, since its successors and imitators have them too.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from langchain_llmdispatch.types import LimitState
from langchain_llmdispatch.vendors.base import Environment, HistoryRules, Listing, OwnedWords, ParameterRules
from langchain_llmdispatch.vendors.openai.rules import OF_SERVERS
from langchain_llmdispatch.vendors.openai.vendor import ChatCompletions
from langchain_llmdispatch.vendors.openai.words import HUGGINGFACE
from langchain_llmdispatch.vendors.parameters import SERVER
from langchain_llmdispatch.vendors.rules import SchemaDialect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_llmdispatch.types import Call


@lru_cache(maxsize=256)
def _base(base_url: str) -> str:
    # A bare host (dedicated endpoint, TGI) and a model's path on the serverless hosts lack the version;
    # paths of single providers (`/novita`, `/together/v1`) are complete.
    base_url = base_url.rstrip("/")
    path = urlsplit(base_url).path
    return f"{base_url}/v1" if not path or ("/models/" in path and not path.endswith("/v1")) else base_url


class HuggingFaceVendor(ChatCompletions):
    """Hugging Face's router by default; a dedicated endpoint or TGI server by `base_url`."""

    name = "huggingface"
    aliases = ("hf",)
    provider = "huggingface"
    base_url = "https://router.huggingface.co/v1"
    slashed_names = True
    environment = Environment(
        keys=("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACEHUB_API_TOKEN", "HUGGINGFACE_API_KEY"),
        urls=("HUGGINGFACE_BASE_URL", "HF_BASE_URL"),
        timeout="HUGGINGFACE_TIMEOUT",
    )
    default_model = "openai/gpt-oss-120b"
    # org/model:provider
    listing: ClassVar[Listing] = Listing("huggingface", prefixes=("huggingface/", "hf/"), colon="seller")
    litellm_names: ClassVar[tuple[str, ...]] = ("huggingface",)
    parameters: ClassVar[ParameterRules] = ParameterRules(
        SERVER - {"min_p", "top_k"}, most_stops=4, parallel_switch=True
    )
    words: ClassVar[OwnedWords] = HUGGINGFACE
    schemas: ClassVar[SchemaDialect] = OF_SERVERS
    history: ClassVar[HistoryRules] = HistoryRules(
        provider="huggingface",
        # Chat templates of many open models refuse anything but user and assistant in turn.
        system="leading",
        alternate=True,
        first_user=True,
        user_media=frozenset({"image", "image_url"}),
    )

    def url(self, call: Call, path: str = "chat/completions") -> str:
        """Return where `path` is: on the router, an endpoint's host, or a serverless model's path."""
        return f"{_base(call.endpoint.base_url)}/{path}"

    def encode_body(self, call: Call) -> tuple[str, dict[str, Any]]:
        """Return path and body; an inference provider is written behind the model (`MODEL:PROVIDER`)."""
        path, body = super().encode_body(call)
        # The router chooses one by itself for `auto`.
        provider = body.pop("provider", None)
        if isinstance(provider, str) and provider != "auto" and ":" not in call.model:
            body["model"] = f"{call.model}:{provider}"
        return path, body

    def extras(self, headers: Mapping[str, str]) -> dict[str, Any]:
        """Return which inference provider answered."""
        provider = headers.get("x-inference-provider")
        return {"inference_provider": provider} if provider else {}

    def limits(self, headers: Mapping[str, str]) -> Sequence[LimitState]:
        """Return the limits in the IETF `ratelimit` header, or in the family's own headers."""
        fields = dict(_FIELD.findall(headers.get("ratelimit", "")))
        if "r" not in fields:
            return super().limits(headers)
        reset = float(fields["t"]) if "t" in fields else None
        return [LimitState(kind="requests", remaining=int(fields["r"]), reset_after=reset)]


_FIELD = re.compile(r";\s*([rt])=(\d+)")
