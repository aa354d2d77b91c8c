"""Words of one vendor reach no other: left out or translated, reported, and the call succeeds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from langchain_llmdispatch import DispatcherChatModel, errors
from langchain_llmdispatch.vendors import builtin_vendors
from langchain_llmdispatch.vendors.parameters import NEUTRAL
from tests.end_to_end.test_valid_everywhere import compiled
from tests.end_to_end.vendor_words import SECRET, WORDS
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import VENDORS, deployment, model_of

_VENDORS = builtin_vendors()
_WITH_TOOLS = {"parallel_tool_calls", "response_format"}
"""Words of all vendors that belong to tools and answers' formats."""
_OWNED = [
    (owner, name)
    for owner, vendor in _VENDORS.items()
    for name in sorted(vendor.words.words)
    if owner not in {"azure", "local"} and name not in NEUTRAL and name not in _WITH_TOOLS
]
# Neutral parameters that most compatible servers take, and the strict one does not.
_OF_SOME_SERVERS = {("compatible", "top_k"), ("compatible", "k"), ("compatible", "min_p")}
_ABROAD = [(owner, target) for owner in WORDS for target in VENDORS if owner != target]


def value_of(owner: str, name: str) -> Any:
    """Return a value that people give a word; a text where none is listed."""
    kinds = _VENDORS[owner].words.words[name].types
    plain: Any = {"x": "canary"} if Mapping in kinds else ["canary"] if list in kinds else "canary"
    return WORDS.get(owner, {}).get(name, plain)


@pytest.mark.parametrize("target", VENDORS)
def test_each_owned_word_stays_out_of_foreign_requests(target: str) -> None:
    """Body, headers and query are as without it, or hold its translation; the report names it."""
    plain, _ = compiled(target, {}, target)
    for owner, name in _OWNED:
        value, word = value_of(owner, name), _VENDORS[owner].words.words[name]
        if _VENDORS[target].words.find(name, value) is not None:
            continue
        if word.question:
            with pytest.raises(errors.UnsupportedFeatureError, match=name):
                compiled(owner, {name: value}, target)
            continue
        request, changes = compiled(owner, {name: value}, target)
        kinds = {change.kind for change in changes}
        assert word.switch or kinds & {f"{name}_dropped", f"{name}_adapted"}, (owner, name, kinds)
        if f"{name}_adapted" not in kinds:
            assert request.content == plain.content, (owner, name)
            assert request.headers == plain.headers
            assert request.url == plain.url


def _keyword(model: DispatcherChatModel, words: dict[str, Any]) -> Callable[..., Any]:
    return lambda method: getattr(model, method)("hello", **words)


def _bound(model: DispatcherChatModel, words: dict[str, Any]) -> Callable[..., Any]:
    return lambda method: getattr(model.bind(**words), method)("hello")


def _model_kwargs(model: DispatcherChatModel, words: dict[str, Any]) -> Callable[..., Any]:
    return lambda method: getattr(model.model_copy(update={"model_kwargs": words}), method)("hello")


WAYS = {"keyword": _keyword, "bound": _bound, "model_kwargs": _model_kwargs}


@pytest.mark.parametrize(("owner", "target"), _ABROAD)
def test_the_other_vendor_answers(owner: str, target: str, server: LoopbackServer) -> None:
    """A strict server, which refuses unknown words, answers; sync and async, whichever way they were given."""
    server.script(owner, [Fault(status=503)], repeat=True)
    words = {name: value for name, value in WORDS[owner].items() if (target, name) not in _OF_SOME_SERVERS}
    with model_of(deployment(server, owner), deployment(server, target), max_retries=0) as model:
        for way in WAYS.values():
            call = way(model, words)
            for answer in (call("invoke"), asyncio.run(call("ainvoke"))):
                check_answer(answer, owner, target)
    for received in server.requests_to(target):
        assert SECRET not in f"{received.headers} {received.body} {received.path}"


def check_answer(answer: AIMessage, owner: str, target: str) -> None:
    """The target answered, and its report names each word of the owner's that it did not take."""
    facts = answer.response_metadata["llmdispatch"]
    assert facts["vendor"] == target
    reported = {change["kind"].rpartition("_")[0] for change in facts["adapted"]}
    takes = _VENDORS[target].words
    words = _VENDORS[owner].words.words
    foreign = [name for name in WORDS[owner] if (owner, name) in _OWNED and not words[name].switch]
    assert {name for name in foreign if takes.find(name, WORDS[owner][name]) is None} <= reported
