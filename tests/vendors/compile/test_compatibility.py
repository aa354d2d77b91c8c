"""Whether a target can serve a request, and what would be altered."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import HumanMessage

from langchain_llmdispatch.catalog.models import ModelFacts
from langchain_llmdispatch.types import ChatRequest
from langchain_llmdispatch.vendors.compile.compatibility import check_request
from tests.vendors.compile.calls import OUTPUT as _SHAPE
from tests.vendors.compile.calls import PLAIN as _PLAIN
from tests.vendors.compile.calls import TOOL as _TOOL
from tests.vendors.compile.calls import VENDORS as _VENDORS


def _check(vendor: str, facts: ModelFacts | None = None, tokens: int | None = None, **given: Any) -> Any:
    request = ChatRequest(given.pop("messages", _PLAIN), **given)
    return check_request(_VENDORS[vendor], request, "m-1", facts or ModelFacts(), input_tokens=tokens)


def test_what_fits_and_what_does_not() -> None:
    """Known facts veto, unknown ones do not; adaptations are lossy at most."""
    image = [HumanMessage([{"type": "image", "base64": "aGk=", "mime_type": "image/png"}])]
    video = [HumanMessage([{"type": "video", "base64": "aGk=", "mime_type": "video/mp4"}])]
    assert _check("openai").verdict == "legal"
    assert _check("openai", messages=image).verdict == "legal"
    assert _check("openai", ModelFacts(images=False), messages=image).reasons == (
        "the model takes no images",
    )
    assert "video" in _check("openai", messages=video).reasons[0]
    assert _check("openai", ModelFacts(context_window=10), tokens=9).verdict == "legal"
    assert "do not fit" in _check("openai", ModelFacts(context_window=10), tokens=11).reasons[0]
    assert "web_search" in _check("cohere", server_tools=[{"type": "web_search"}]).reasons[0]
    assert _check("anthropic", params={"seed": 1}).verdict == "lossy"
    assert _check("anthropic", params={"seed": 1}, unsupported_params="raise").verdict == "illegal"
    assert _check("openai", tools=[_TOOL], output=_SHAPE).verdict == "legal"
    assert _check("openai", ModelFacts(max_output_tokens=5), params={"max_tokens": 9}).verdict == "lossy"


def test_models_that_call_no_tools_do_not_check() -> None:
    """Where the profile has it."""

    class _Mute(type(_VENDORS["openai"])):
        name = "mute"

        def capabilities(self, model: str) -> Any:
            return {"tool_calling": False}

    request = ChatRequest(_PLAIN, tools=[_TOOL])
    found = check_request(_Mute(), request, "m", ModelFacts())
    assert found.reasons == ("the model calls no tools",)
