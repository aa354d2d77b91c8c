"""Requests written for one vendor, compiled for every vendor, and judged by the vendors' own SDKs."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import httpx
import pytest
from langchain_core.messages import HumanMessage

from langchain_llmdispatch.chat_model.request import RequestDefaults
from langchain_llmdispatch.types import Change, Endpoint, Scopes
from langchain_llmdispatch.vendors import builtin_vendors
from langchain_llmdispatch.vendors.compile.call import compile_call
from tests.cases import each
from tests.end_to_end.sdk_types import faults
from tests.end_to_end.vendor_words import SECRET, WORDS, requests
from tests.models import MODELS, URLS, VENDORS

_VENDORS = builtin_vendors()


def compiled(owner: str, words: dict[str, Any], target: str) -> tuple[httpx.Request, list[Change]]:
    """Return a request written for `owner` as `target` gets it, and the report."""
    vendor = _VENDORS[target]
    request = RequestDefaults({}).freeze([HumanMessage("Hello, as JSON.")], None, words)
    request = replace(request, scopes=replace(request.scopes or Scopes(), first=owner))
    endpoint = Endpoint(URLS.get(target) or vendor.base_url or "http://localhost:11434")
    call, changes = compile_call(vendor, request, model=MODELS[target], endpoint=endpoint)
    return vendor.encode_request(call), changes


@pytest.mark.parametrize("target", VENDORS)
def test_500_requests_with_vendors_extras_are_valid(target: str) -> None:
    """3 to 6 extras of one vendor each: every body is what the target's SDK has types for."""
    found = Counter()
    for owner, words in requests(500):
        request, _ = compiled(owner, words, target)
        found.update(f"{owner} {fault}" for fault in faults(target, request))
    assert found == {}


@pytest.mark.parametrize("target", VENDORS)
def test_each_word_is_valid_alone(target: str) -> None:
    """At home and abroad."""
    found = {}
    for owner, words in WORDS.items():
        for name, value in words.items():
            request, _ = compiled(owner, {name: value}, target)
            if wrong := faults(target, request):
                found[owner, name] = wrong
    assert found == {}


@each("target", VENDORS)
def test_secrets_stay_with_their_vendor(target: str) -> None:
    """A canary in tokens, headers, query and body of a call is nowhere in a request to another vendor."""
    for owner, words in WORDS.items():
        request, _ = compiled(owner, dict(words), target)
        shown = f"{request.url} {request.headers.raw} {request.content.decode()}"
        assert (SECRET in shown) == (target == owner and owner in {"openai", "anthropic"})
