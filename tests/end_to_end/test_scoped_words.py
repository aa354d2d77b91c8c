"""Words for one vendor, one deployment or one call, through the whole engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import ConfigurableField
from langchain_openai import ChatOpenAI

from langchain_llmdispatch import Deployment, DispatcherChatModel
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.vendors.base import OwnedWords, Word
from langchain_llmdispatch.vendors.openai import CompatibleVendor
from tests.cases import each
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of

_CALLS: dict[str, Callable[..., Any]] = {
    "invoke": lambda model, **words: model.invoke("hello", **words),
    "ainvoke": lambda model, **words: asyncio.run(model.ainvoke("hello", **words)),
    "stream": lambda model, **words: list(model.stream("hello", **words))[-1],
}
BETA = {"anthropic": {"betas": ["b-1"], "inference_geo": "us"}}


def last(server: LoopbackServer, vendor: str) -> Any:
    """Return the last request to a vendor."""
    return server.requests_to(vendor)[-1]


def pair(server: LoopbackServer, *vendors: str, **fields: Any) -> DispatcherChatModel:
    """Return a model over vendors of which all but the last are down."""
    for vendor in vendors[:-1]:
        server.script(vendor, [Fault(status=503)], repeat=True)
    return model_of(*(deployment(server, vendor) for vendor in vendors), max_retries=0, **fields)


@each("colour", _CALLS)
def test_scoped_words_reach_their_vendor_only(server: LoopbackServer, colour: str) -> None:
    """On the model and per call, by any of the vendor's names."""
    call = _CALLS[colour]
    with pair(server, "openai", "anthropic", vendor_params=BETA) as model:
        call(model, vendor_params={"claude": {"inference_geo": "global"}, "openai": {"store": True}})
        received = last(server, "anthropic")
        assert received.headers["anthropic-beta"] == "b-1"
        assert received.body["inference_geo"] == "global"
        assert "store" not in received.body
        body = last(server, "openai").body
        assert body["store"] is True
        assert "inference_geo" not in body


def test_they_are_bound_configured_and_read_from_files(server: LoopbackServer, tmp_path: Path) -> None:
    """As any field of a model."""
    field = ConfigurableField(id="words")
    with model_of(deployment(server, "anthropic")) as model:
        model.bind(vendor_params=BETA).invoke("hello")
        assert last(server, "anthropic").body["inference_geo"] == "us"
        chosen = model.configurable_fields(vendor_params=field)
        chosen.invoke("hello", {"configurable": {"words": {"anthropic": {"inference_geo": "eu"}}}})
        assert last(server, "anthropic").body["inference_geo"] == "eu"
        model.vendor_params = {"anthropic": {"inference_geo": "uk"}}
        model.invoke("hello")
        assert last(server, "anthropic").body["inference_geo"] == "uk"
    file = tmp_path / "dispatch.yaml"
    file.write_text("model: anthropic:claude-haiku-4-5\nvendor_params: {anthropic: {inference_geo: us}}\n")
    loaded = DispatcherChatModel.from_config(file, env={"ANTHROPIC_API_KEY": "k"})
    assert loaded.vendor_params == {"anthropic": {"inference_geo": "us"}}


def test_a_vendor_that_is_not_known_is_an_error(server: LoopbackServer) -> None:
    """At construction and per call; it names the nearest, and the form."""
    with pytest.raises(ConfigurationError, match="vendor_params.*'antropic'.*Did you mean 'anthropic'"):
        model_of(deployment(server, "anthropic"), vendor_params={"antropic": {}})
    with model_of(deployment(server, "anthropic")) as model:
        for wrong in ({"antropic": {"betas": []}}, ["anthropic"], {"anthropic": ["betas"]}):
            with pytest.raises(ConfigurationError, match="vendor_params"):
                model.invoke("hello", vendor_params=wrong)


@each("colour", _CALLS)
def test_a_calls_headers_query_and_body_go_to_its_first_choice(server: LoopbackServer, colour: str) -> None:
    """To each of its attempts, and not to the vendor that answers instead."""
    words = {"extra_headers": {"x-a": "1"}, "extra_query": {"q": "1"}, "extra_body": {"store": True}}
    with pair(server, "openai", "anthropic") as model:
        answer = _CALLS[colour](model, **words)
        first, other = last(server, "openai"), last(server, "anthropic")
        assert (first.headers["x-a"], first.query, first.body["store"]) == ("1", {"q": "1"}, True)
        assert "x-a" not in other.headers
        assert other.query == {}
        assert "store" not in other.body
    kinds = {change["kind"] for change in answer.response_metadata["llmdispatch"]["adapted"]}
    assert kinds == {f"{word}_dropped" for word in words}


def test_they_stay_where_they_belong_while_the_first_choice_is_down(server: LoopbackServer) -> None:
    """An open breaker changes the order of attempts, not whom a header was meant for."""
    server.script("openai", [Fault(status=503)], repeat=True)
    with model_of(deployment(server, "openai"), deployment(server, "anthropic"), max_retries=0) as model:
        for _ in range(12):
            model.invoke("hello")
        server.clear()
        plan = model.explain("hello", extra_headers={"x-a": "1"})
        assert plan.candidates[0].vendor == "anthropic"
        assert [change.kind for change in plan.candidates[0].changes] == ["extra_headers_dropped"]
        model.invoke("hello", extra_headers={"x-a": "1"})
        assert "x-a" not in last(server, "anthropic").headers


def test_explain_shows_what_would_be_left_out(server: LoopbackServer) -> None:
    """For each deployment, before anything is sent."""
    with model_of(deployment(server, "openai"), deployment(server, "anthropic")) as model:
        plan = model.explain("hello", prompt_cache_key="k", safety_identifier="u")
        first, second = plan.candidates
        assert first.changes == ()
        report = {change.kind: change.lossy for change in second.changes}
        assert report == {"prompt_cache_key_dropped": False, "safety_identifier_adapted": True}
        assert "adapts" in str(plan)
    assert not server.requests


def test_a_policy_that_raises_leaves_the_other_vendors_out(server: LoopbackServer) -> None:
    """The plan names the reason."""
    words = {"prompt_cache_key": "k"}
    with pair(server, "openai", "anthropic", unsupported_params="raise") as model:
        plan = model.explain("hello", **words)
        assert [each.vendor for each in plan.candidates] == ["openai"]
        assert "prompt_cache_key" in plan.excluded[0].reason


def test_usage_in_streams_can_be_switched_off(server: LoopbackServer) -> None:
    """For all, for one deployment, and per call; a call's choice wins."""
    off = deployment(server, "compatible", params={"stream_usage": False})
    with model_of(off) as model:
        list(model.stream("hello"))
        assert "stream_options" not in last(server, "compatible").body
        list(model.stream("hello", stream_usage=True))
        assert last(server, "compatible").body["stream_options"] == {"include_usage": True}


def test_standard_parameters_of_the_model_are_compiled_for_each_vendor(server: LoopbackServer) -> None:
    """As those of a call."""
    fields = {
        "reasoning_effort": "low",
        "top_k": 5,
        "presence_penalty": 0.5,
        "parallel_tool_calls": False,
        "verbosity": "low",
    }
    with model_of(deployment(server, "google"), deployment(server, "openai"), **fields) as model:
        model.invoke("hello")
        config = last(server, "google").body["generationConfig"]
        assert (config["topK"], config["presencePenalty"]) == (5, 0.5)
        assert config["thinkingConfig"]["thinkingBudget"] == 1024
        model.invoke("hello", model="openai", top_k=None)
        body = last(server, "openai").body
        assert (body["reasoning_effort"], body["verbosity"]) == ("low", "low")
        assert "top_k" not in body


def test_a_misspelt_word_is_warned_of(server: LoopbackServer) -> None:
    """It is no word of any vendor's; a word that is like none is not."""
    with model_of(deployment(server, "openai")) as model:
        with pytest.warns(UserWarning, match="'temprature'.*Did you mean 'temperature'"):
            model.invoke("hello", temprature=0.5)
        answer = model.invoke("hello", entirely_new=1)
    assert answer.response_metadata["llmdispatch"]["adapted"][0]["kind"] == "entirely_new_dropped"


def test_metadata_of_a_request_is_a_keyword(server: LoopbackServer) -> None:
    """LangChain's own `metadata` are the run's, in its config."""
    with model_of(deployment(server, "openai"), deployment(server, "anthropic")) as model:
        for colour in _CALLS.values():
            colour(model, metadata={"user_id": "u-1"})
            assert last(server, "openai").body["metadata"] == {"user_id": "u-1"}
        model.invoke("hello", model="anthropic", metadata={"user_id": "u-1"})
        assert last(server, "anthropic").body["metadata"] == {"user_id": "u-1"}


def test_langchain_models_get_their_vendors_words_as_keywords(server: LoopbackServer) -> None:
    """And no other vendor's; addressed words where they are the first choice."""
    inner = ChatOpenAI(model="gpt-4.1-mini", base_url=server.base_url("openai"), api_key="k", max_retries=0)
    words = {"prompt_cache_key": "k", "betas": ["b"], "extra_headers": {"x-a": "1"}, "novel": None}
    with model_of(Deployment(inner, name="inner"), deployment(server, "anthropic")) as model:
        model.invoke("hello", **words)
        received = last(server, "openai")
        assert (received.body["prompt_cache_key"], received.headers["x-a"]) == ("k", "1")
        assert "betas" not in received.body
        model.invoke("hello", model="anthropic", **words)
        assert "prompt_cache_key" not in last(server, "anthropic").body
        model.invoke("hello", vendor_params={"openai": {"user": "scoped"}})
        assert last(server, "openai").body["user"] == "scoped"


class MoodyVendor(CompatibleVendor):
    """A vendor of a third party with a word of its own."""

    name = "moody"
    words = OwnedWords(own={"mood": Word(("style", "mood"))})


def test_words_of_a_third_partys_vendor_are_its_own(server: LoopbackServer) -> None:
    """They reach no other vendor of the call, not even one that takes unknown words."""
    url = server.base_url("compatible", "moody")
    own = Deployment("moody:m", name="moody", base_url=url, api_key="k")
    server.script("compatible", [Fault(status=503)], "moody", repeat=True)
    fields = {"custom_vendors": [MoodyVendor()], "max_retries": 0}
    with model_of(own, deployment(server, "compatible", "other"), **fields) as model:
        answer = model.invoke("hello", mood="calm")
    sent = {received.account: received.body for received in server.requests_to("compatible", "moody")}
    assert sent["moody"]["style"] == {"mood": "calm"}
    assert "mood" not in str(server.requests_to("compatible", "other")[-1].body)
    assert [change["kind"] for change in answer.response_metadata["llmdispatch"]["adapted"]] == [
        "mood_dropped"
    ]


@each("word", ["timeout", "vendor_params", "api_key"])
def test_what_is_no_word_for_one_vendor_is_refused(word: str) -> None:
    """With the way out."""
    with pytest.raises(ConfigurationError, match=word):
        Deployment("openai:x", params={word: 3})
    with pytest.raises(ConfigurationError, match=word):
        DispatcherChatModel("openai:x", vendor_params={"openai": {word: 3}}, env={"OPENAI_API_KEY": "k"})


def test_one_answer_per_call(server: LoopbackServer) -> None:
    """Gemini's word for several is refused as OpenAI's is."""
    with model_of(deployment(server, "google")) as model:
        model.invoke("hello", candidate_count=1)
        with pytest.raises(ConfigurationError, match="batch"):
            model.invoke("hello", candidate_count=2)
