"""A model's own retries: switched off, or counted."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import httpx
import pytest
from langchain_core.language_models import BaseChatModel
from pydantic import Field

from langchain_llmdispatch.vendors.langchain.retries import without_retries
from tests.vendors.langchain.models import Scripted, router


class Retrying(Scripted):
    """A model with a setting that its call reads, as most integrations have."""

    max_retries: int = 6


class FakeSdk:
    """A client as OpenAI's and Anthropic's SDKs build it."""

    def __init__(self, max_retries: int = 2) -> None:
        self.max_retries = max_retries

    def with_options(self, *, max_retries: int) -> FakeSdk:
        """Return a copy."""
        return FakeSdk(max_retries)


class Completions:
    """A resource of such a client."""

    def __init__(self, client: FakeSdk) -> None:
        self._client = client


class WithClients(Retrying):
    """A model whose clients were built when it was."""

    root: Any = Field(default_factory=FakeSdk)
    client: Any = Field(default_factory=lambda: Completions(FakeSdk()))


def test_retries_are_switched_off_on_a_copy() -> None:
    """Its setting, its client's and its resource's; the user's object keeps them."""
    model = WithClients()
    quiet = without_retries(model)
    assert (quiet.model.max_retries, quiet.model.root.max_retries) == (0, 0)
    assert quiet.model.client._client.max_retries == 0
    assert (model.max_retries, model.root.max_retries, model.client._client.max_retries) == (6, 2, 2)
    assert (quiet.requests, quiet.why) == (1, "")
    plain = Scripted()
    assert without_retries(plain).model is plain


def test_models_within_models_are_without_retries() -> None:
    """A wrapper's inner model retries no more either."""

    class Wrapper(Scripted):
        inner: BaseChatModel

    wrapper = Wrapper(inner=Retrying())
    assert without_retries(wrapper).model.inner.max_retries == 0
    assert wrapper.inner.max_retries == 6


def test_what_cannot_be_switched_off_is_warned_of_once() -> None:
    """The warning holds how many requests one call may send."""

    class Chained(Scripted):
        chain: Any = None

    inner = Chained(chain=Scripted().with_retry(stop_after_attempt=6))
    with pytest.warns(UserWarning, match="may send 36 requests") as warned:
        model = router(inner, max_attempts=6)
    assert len(warned) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.register_vendor(model.get_vendor("openai"))


def test_transports_fallbacks_and_botocore_are_counted() -> None:
    """Each by what it may send."""

    class Holder(Scripted):
        thing: Any = None

    with httpx.Client(transport=httpx.HTTPTransport(retries=3, verify=False)) as client:
        assert without_retries(Holder(thing=client)).requests == 4
    assert without_retries(Holder(thing=Scripted().with_fallbacks([Scripted()]))).requests == 2

    class Meta:
        service_model = "bedrock-runtime"

        class config:  # noqa: N801 - botocore's
            retries: ClassVar[Any] = {"total_max_attempts": 3, "mode": "standard"}

    boto = type("BedrockRuntime", (), {"meta": Meta})
    assert without_retries(Holder(thing=boto())).requests == 3
    nested = router(Scripted(), Scripted())
    assert without_retries(nested).requests == nested.max_attempts
