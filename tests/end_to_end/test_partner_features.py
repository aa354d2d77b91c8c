"""What LangChain's own packages do for one vendor, done here: a request of ours has the body and headers.

Each row is a gap that was found by comparing with langchain-openai 1.7, -anthropic 1.7, -google-genai 4.4,
-cohere 0.6, -huggingface 1.2 and -ollama 1.1.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from langchain_llmdispatch.errors import DispatchError
from tests.cases import each
from tests.loopback.request_log import Received
from tests.loopback.server import LoopbackServer
from tests.models import MODELS, VENDORS, deployment, model_of

NEW = {"google": "gemini-3.8-flash", "anthropic": "claude-opus-5-5"}


def sent(
    server: LoopbackServer, vendor: str, *, message: Any = "Hello", at: str = "call", **words: Any
) -> Received:
    """Return the request that words make, as keywords of a call or of the model."""
    messages: list[BaseMessage] = message if isinstance(message, list) else [HumanMessage(message)]
    fields = {"model_kwargs": words} if at == "model" else {}
    with model_of(deployment(server, vendor), **fields) as model:
        given = {} if at == "model" else words
        asyncio.run(model.ainvoke(messages, **given)) if at == "async" else model.invoke(messages, **given)
    received = server.requests[-1]
    assert received.rejected is None
    return received


def value_at(body: Any, path: str) -> Any:
    """Return what a body has at a dotted path."""
    for step in path.split("."):
        body = body[int(step) if step.isdigit() else step]
    return body


FETCHED = {"id": "1", "data": {"text": "Cats purr.", "title": "Cats"}}
BODIES: list[tuple[str, dict[str, Any], str, Any]] = [
    ("anthropic", {"effort": "low"}, "thinking.budget_tokens", 2048),
    ("anthropic", {"stop_sequences": ["x"]}, "stop_sequences", ["x"]),
    ("google", {"response_modalities": ["TEXT", "IMAGE"]}, "generationConfig.responseModalities.1", "IMAGE"),
    ("google", {"image_config": {"aspect_ratio": "1:1"}}, "generationConfig.imageConfig.aspectRatio", "1:1"),
    ("google", {"media_resolution": "MEDIA_RESOLUTION_LOW"}, "generationConfig.mediaResolution",
     "MEDIA_RESOLUTION_LOW"),
    ("google", {"speech_config": {"voice_config": {}}}, "generationConfig.speechConfig", {"voiceConfig": {}}),
    ("google", {"thinking_budget": 64}, "generationConfig.thinkingConfig.thinkingBudget", 64),
    ("google", {"include_thoughts": True}, "generationConfig.thinkingConfig.includeThoughts", True),
    ("google", {"generation_config": {"top_k": 3}, "temperature": 0.5}, "generationConfig",
     {"topK": 3, "temperature": 0.5}),
    ("google", {"safety_settings": {"HARM_CATEGORY_HARASSMENT": "BLOCK_NONE"}}, "safetySettings.0",
     {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}),
    ("cohere", {"documents": [Document("Cats purr.", metadata={"id": "1", "title": "Cats", "n": 1})]},
     "documents.0", FETCHED),
    ("cohere", {"documents": [{"text": "Cats purr."}]}, "documents.0",
     {"id": "doc-0", "data": {"text": "Cats purr."}}),
    ("cohere", {"documents": [FETCHED, "text"]}, "documents", [FETCHED, "text"]),
    ("huggingface", {"provider": "together"}, "model", f"{MODELS['huggingface']}:together"),
    ("huggingface", {"provider": "auto"}, "model", MODELS["huggingface"]),
    ("huggingface", {"max_new_tokens": 9}, "max_tokens", 9),
    ("huggingface", {"repetition_penalty": 1.1}, "repetition_penalty", 1.1),
    ("ollama", {"reasoning": True}, "think", True),
    ("ollama", {"reasoning": "high"}, "think", "high"),
    ("ollama", {"num_ctx": 4096}, "options.num_ctx", 4096),
]  # fmt: skip


@each("at", ["call", "async", "model"])
@each(("vendor", "words", "path", "expected"), BODIES)
def test_words_of_partner_packages(
    vendor: str, words: dict[str, Any], path: str, expected: Any, at: str, server: LoopbackServer
) -> None:
    """They are where the vendor reads them."""
    assert value_at(sent(server, vendor, at=at, **words).body, path) == expected


BETAS: list[tuple[dict[str, Any], str]] = [
    ({"thinking": {"type": "adaptive", "display": "updates"}}, "thinking-display-updates-2026-08-18"),
    ({"output_config": {"task_budget": {"type": "tokens", "total": 9}}}, "task-budgets-2026-03-13"),
    ({"user_profile_id": "uprof_1"}, "user-profiles-2026-03-24"),
    ({"container": {"skills": [{"type": "anthropic", "skill_id": "pdf"}]}}, "skills-2025-10-02"),
    ({"context_management": {"edits": []}}, "context-management-2025-06-27"),
    (
        {"context_management": {"edits": [{"type": "compact_20260112"}]}},
        "context-management-2025-06-27,compact-2026-01-12",
    ),
    ({"mcp_servers": [{"type": "url", "url": "https://x.test", "name": "x"}]}, "mcp-client-2025-11-20"),
]


@each(("words", "beta"), BETAS)
def test_anthropics_beta_features_are_named(words: dict[str, Any], beta: str, server: LoopbackServer) -> None:
    """Beside those that the caller names."""
    headers = sent(server, "anthropic", betas=["mine"], **words).headers
    assert headers["anthropic-beta"] == f"mine,{beta}"


@pytest.mark.parametrize("container", [None, {"skills": []}])
def test_anthropics_last_container_is_used_again(container: Any, server: LoopbackServer) -> None:
    """That of the last answer of Anthropic's; a container that is named wins."""
    facts = {"model_provider": "anthropic", "container": {"id": "container_1", "expires_at": "x"}}
    history = [HumanMessage("a"), AIMessage("b", response_metadata=facts), HumanMessage("c")]
    words = {"reuse_last_container": True, **({"container": container} if container else {})}
    body = sent(server, "anthropic", message=history, **words).body
    assert body["container"] == ({"id": "container_1", **container} if container else "container_1")
    assert "reuse_last_container" not in body
    own = sent(server, "anthropic", message=history, reuse_last_container=True, container="container_2").body
    assert own["container"] == "container_2"
    assert "container" not in sent(server, "anthropic", reuse_last_container=True).body


_TUNING = {"video_metadata": {"fps": 2, "start_offset": "1s"}, "media_resolution": "MEDIA_RESOLUTION_HIGH"}
_API = {
    "videoMetadata": {"fps": 2, "startOffset": "1s"},
    "mediaResolution": {"level": "MEDIA_RESOLUTION_HIGH"},
}
_VIDEO = {"type": "video", "url": "https://youtu.be/x", "mime_type": "video/mp4"}


@each(
    "block",
    [
        {"type": "media", "file_uri": "https://youtu.be/x", "mime_type": "video/mp4", **_TUNING},
        {**_VIDEO, **_TUNING},
        {**_VIDEO, "extras": _TUNING},
        {**_VIDEO, "extras": _API},
    ],
)
def test_how_gemini_reads_a_video(block: dict[str, Any], server: LoopbackServer) -> None:
    """Frame rate, offsets and resolution stand beside the part's data."""
    message = [HumanMessage([{"type": "text", "text": "What is it?"}, block])]
    part = sent(server, "google", message=message).body["contents"][0]["parts"][1]
    assert part.pop("fileData")["fileUri"] == "https://youtu.be/x"
    assert part == _API


def test_coheres_documents_beside_a_message(server: LoopbackServer) -> None:
    """As langchain-cohere reads them."""
    kwargs = {"documents": [Document("Cats purr.", metadata={"id": "1", "title": "Cats"})]}
    body = sent(server, "cohere", message=[HumanMessage("Hello", additional_kwargs=kwargs)]).body
    assert body["documents"] == [FETCHED]


@each("vendor", [vendor for vendor in VENDORS if vendor != "cohere"])
@each("at", ["call", "message"])
def test_coheres_documents_are_text_elsewhere(server: LoopbackServer, vendor: str, at: str) -> None:
    """A system message holds them, and the answer reports it; another policy is followed."""
    documents = {"documents": [Document("Cats purr.", metadata={"id": "1", "title": "Cats"})]}
    call = documents if at == "call" else {}
    message = HumanMessage("Hello", additional_kwargs=documents if at == "message" else {})
    with model_of(deployment(server, vendor)) as model:
        answer = model.invoke([message], **call)
        dropped = model.model_copy(update={"unsupported_params": "drop"}).invoke([message], **call)
        with pytest.raises(DispatchError, match="documents: a word of cohere"):
            model.model_copy(update={"unsupported_params": "raise"}).invoke([message], **call)
    first, second = (json.dumps(received.body) for received in server.requests)
    assert r"Documents:\n\n[1]\ntitle: Cats\nCats purr." in first
    assert "purr" not in second
    assert "documents_adapted" in repr(answer.response_metadata["llmdispatch"]["adapted"])
    assert "documents_dropped" in repr(dropped.response_metadata["llmdispatch"]["adapted"])


@pytest.mark.parametrize("at", ["call", "model"])
def test_hugging_faces_payer_is_a_header(at: str, server: LoopbackServer) -> None:
    """And in no body; other vendors get neither it nor the inference provider."""
    received = sent(server, "huggingface", at=at, bill_to="my-org")
    assert received.headers["x-hf-bill-to"] == "my-org"
    assert "bill_to" not in received.body
    for vendor in ("openai", "compatible", "anthropic"):
        received = sent(server, vendor, at=at, bill_to="my-org", provider="together")
        assert "my-org" not in str((received.body, received.headers))
        assert "provider" not in received.body
