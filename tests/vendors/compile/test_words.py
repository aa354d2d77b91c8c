"""The words of a request as one target takes them: levels, places, translations, what is left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from langchain_llmdispatch import errors
from langchain_llmdispatch.types import ChatRequest, Endpoint, Scopes
from langchain_llmdispatch.vendors import builtin_vendors
from langchain_llmdispatch.vendors.base import OwnedWords, Word
from langchain_llmdispatch.vendors.compile.words import (
    CompiledWords,
    compile_words,
    hint_for,
    origin_of,
    requested,
)
from langchain_llmdispatch.vendors.openai import CompatibleVendor
from tests.cases import each
from tests.models import URLS

_VENDORS = builtin_vendors()


class OwnVendor(CompatibleVendor):
    """A vendor of a third party, with a word of its own."""

    name = "own"
    words = OwnedWords(
        own={"mood": Word(("style", "mood")), "trace": Word(header="x-trace")}, takes_unknown=True
    )


def words(name: str, own: Mapping[str, Any] | None = None, **fields: Any) -> CompiledWords:
    """Return the words of a request as a built-in vendor takes them."""
    vendor = _VENDORS.get(name) or OwnVendor()
    endpoint = Endpoint(URLS.get(name) or vendor.base_url or "http://localhost:11434")
    return compile_words(vendor, ChatRequest((), **fields), endpoint, own or {})


def kinds(made: CompiledWords) -> list[str]:
    """Return the kinds of changes."""
    return [change.kind for change in made.changes]


# -- places ------------------------------------------------------------------------------------------


def test_words_go_to_their_places() -> None:
    """Nested fields, headers, and words that mean a neutral parameter."""
    made = words(
        "google", extra={"thinking_budget": 9, "response_modalities": ["TEXT"], "labels": {"a": "b"}}
    )
    assert made.request.params == {"thinking": {"thinkingBudget": 9}}
    assert made.request.extra == {"generationConfig": {"responseModalities": ["TEXT"]}, "labels": {"a": "b"}}
    made = words("own", extra={"mood": "calm", "trace": 7, "novel": 1})
    assert made.request.extra == {"style": {"mood": "calm"}, "novel": 1}
    assert made.endpoint.headers == {"x-trace": "7"}
    assert kinds(made) == ["novel_passed"]


def test_two_words_for_one_object_are_merged() -> None:
    """`thinking_budget` and `include_thoughts` are fields of one object; so are Ollama's options."""
    made = words("google", extra={"thinking_budget": 9, "include_thoughts": False})
    assert made.request.params == {"thinking": {"thinkingBudget": 9, "includeThoughts": False}}
    made = words("ollama", extra={"options": {"num_ctx": 1}, "mirostat": 2})
    assert made.request.extra == {"options": {"num_ctx": 1, "mirostat": 2}}


def test_gemini_takes_langchains_form_of_safety_settings() -> None:
    """A dict by category becomes the API's list."""
    made = words("google", extra={"safety_settings": {"HARM_CATEGORY_HARASSMENT": "BLOCK_NONE"}})
    setting = {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}
    assert made.request.extra == {"safetySettings": [setting]}


# -- other vendors' words ----------------------------------------------------------------------------


@each(
    ("word", "value", "target", "params"),
    [
        ("reasoning", {"effort": "high"}, "anthropic", {"reasoning_effort": "high"}),
        ("safety_identifier", "u", "anthropic", {"user": "u"}),
        ("output_config", {"effort": "low"}, "openai", {"reasoning_effort": "low"}),
        ("thinking_level", "low", "anthropic", {"thinking": {"thinkingLevel": "low"}}),
        ("reasoning", "high", "openai", {"thinking": "high"}),
        ("options", {"temperature": 0.1, "num_ctx": 3}, "openai", {"temperature": 0.1}),
        ("speed", "fast", "openai", {"service_tier": "fast"}),
    ],
)
def test_a_counterpart_takes_a_words_place(
    word: str, value: Any, target: str, params: dict[str, Any]
) -> None:
    """And is reported; with policy `drop` there is none."""
    made = words(target, extra={word: value})
    assert (made.request.params, made.request.extra, kinds(made)) == (params, {}, [f"{word}_adapted"])
    made = words(target, extra={word: value}, unsupported_params="drop")
    assert (made.request.params, kinds(made)) == ({}, [f"{word}_dropped"])
    with pytest.raises(errors.UnsupportedParameterError, match=word):
        words(target, extra={word: value}, unsupported_params="raise")


@each(
    ("word", "value", "target", "extra"),
    [
        ("safety_mode", "NONE", "google", "safetySettings"),
        ("safety_settings", {"HARM_CATEGORY_HARASSMENT": "BLOCK_LOW_AND_ABOVE"}, "cohere", "safety_mode"),
        ("prompt_cache_retention", "24h", "anthropic", "cache_control"),
        ("repeat_penalty", 1.1, "huggingface", "repetition_penalty"),
    ],
)
def test_a_counterpart_may_be_another_vendors_word(word: str, value: Any, target: str, extra: str) -> None:
    """Safety, cache hints, penalties of one kind."""
    made = words(target, extra={word: value})
    assert (list(made.request.extra), kinds(made)) == ([extra], [f"{word}_adapted"])


@each(
    ("word", "value", "schema"),
    [
        ("format", "json", None),
        ("format", {"title": "A", "type": "object"}, "object"),
        ("output_format", {"type": "json_schema", "schema": {"title": "A", "type": "object"}}, "object"),
        ("response_mime_type", "application/json", None),
        ("response_schema", {"type": "OBJECT"}, "object"),
        ("text", {"format": {"type": "json_schema", "name": "A", "schema": {"type": "object"}}}, "object"),
    ],
)
def test_json_modes_mean_an_answers_shape(word: str, value: Any, schema: str | None) -> None:
    """Each vendor's word for it becomes the neutral one."""
    output = words("cohere", extra={word: value}).request.output
    assert output is not None
    assert (output.schema or {}).get("type") == schema


def test_a_word_without_a_counterpart_is_left_out_and_reported() -> None:
    """Lossy where the answer may differ; what belongs to the vendor's machine is not."""
    made = words("openai", extra={"safety_mode": "STRICT", "keep_alive": "5m", "betas": ["b"]})
    assert made.request.extra == {}
    report = {change.kind: change.lossy for change in made.changes}
    assert report == {"safety_mode_dropped": True, "keep_alive_dropped": False}


def test_a_stored_answer_cannot_be_left_out() -> None:
    """The question would be another; with policy `drop` it may."""
    with pytest.raises(errors.UnsupportedFeatureError, match="previous_response_id"):
        words("anthropic", extra={"previous_response_id": "r"})
    assert kinds(words("anthropic", extra={"previous_response_id": "r"}, unsupported_params="drop")) == [
        "previous_response_id_dropped"
    ]


@each("target", ["openai", "anthropic", "google", "azure", "cohere", "ollama"])
def test_a_word_that_no_vendor_owns_stays_out_of_closed_apis(target: str) -> None:
    """The report has the nearest word, and the way out."""
    made = words(target, extra={"temprature": 1, "novel": 2})
    assert made.request.extra == {}
    details = {change.kind: change.detail for change in made.changes}
    assert "Did you mean 'temperature'?" in details["temprature_dropped"]
    assert "vendor_params" in details["novel_dropped"]


@each("target", ["compatible", "huggingface", "own"])
def test_a_word_that_no_vendor_owns_goes_where_it_may_be_known(target: str) -> None:
    """And is reported as passed."""
    made = words(target, extra={"novel": 2})
    assert (made.request.extra, kinds(made)) == ({"novel": 2}, ["novel_passed"])


def test_a_token_in_an_unknown_word_goes_to_the_first_choice_alone() -> None:
    """Whoever may know the word, it was given for one."""
    extra = {"novel": {"access_token": "t"}}
    assert kinds(words("compatible", extra=extra, scopes=Scopes(first="openai"))) == ["novel_dropped"]
    first = Scopes(first="compatible@server.example")
    assert words("compatible", extra=extra, scopes=first).request.extra == extra


def test_a_shared_word_belongs_to_its_owner_where_that_is_among_the_deployments() -> None:
    """OpenAI's words are for compatible servers where no OpenAI deployment can be meant."""
    extra = {"prompt_cache_key": "k"}
    assert (
        words("compatible", extra=extra, scopes=Scopes(vendors=frozenset({"compatible"}))).request.extra
        == extra
    )
    both = Scopes(vendors=frozenset({"compatible", "openai"}))
    assert kinds(words("compatible", extra=extra, scopes=both)) == ["prompt_cache_key_dropped"]


@pytest.mark.parametrize("host", ["api.mistral.ai", "api.perplexity.ai"])
def test_hosts_that_refuse_unknown_words_get_none(host: str) -> None:
    """Whatever other compatible servers take."""
    request = ChatRequest((), extra={"novel": 1, "prompt_cache_key": "k", "mirostat": 1})
    made = compile_words(_VENDORS["compatible"], request, Endpoint(f"https://{host}/v1"), {})
    assert made.request.extra == {}


def test_a_word_that_two_vendors_own_is_distinguished_by_its_value() -> None:
    """`reasoning` is an object of OpenAI's and a switch of Ollama's; `context_management` a list or an object."""
    assert words("openai", extra={"reasoning": {"summary": "auto"}}).request.extra == {
        "reasoning": {"summary": "auto"}
    }
    assert words("ollama", extra={"reasoning": False}).request.params == {"thinking": False}
    edits = {"edits": []}
    assert words("anthropic", extra={"context_management": edits}).request.extra == {
        "context_management": edits
    }
    assert kinds(words("openai", extra={"context_management": edits})) == ["context_management_dropped"]


# -- levels ------------------------------------------------------------------------------------------

_LEVELS = ("model", "model_scoped", "deployment", "call", "call_scoped")


def over(word: str, levels: Mapping[str, Any], target: str) -> CompiledWords:
    """Return what a target gets of one word that several levels have."""
    general = {level: value for level, value in levels.items() if level in {"model", "call"}}
    fields: dict[str, Any] = {"params" if word in {"temperature", "max_tokens"} else "extra": {}}
    key = next(iter(fields))
    if general:
        fields[key] = {word: general.get("call", general.get("model"))}
    fields["defaults"] = frozenset({word} if "call" not in general else ())
    scopes = {
        side: {target: {word: levels[f"{side}_scoped"]}}
        for side in ("model", "call")
        if f"{side}_scoped" in levels
    }
    own = {word: levels["deployment"]} if "deployment" in levels else {}
    return words(target, own, scopes=Scopes(**scopes), **fields)


@each("low", range(len(_LEVELS) - 1))
@each(
    ("word", "target"),
    [("temperature", "openai"), ("max_tokens", "google"), ("prompt_cache_key", "openai"), ("keep_alive", "ollama"),
     ("cache_control", "anthropic"), ("labels", "google"), ("documents", "cohere")],
)  # fmt: skip
def test_a_higher_level_wins(word: str, target: str, low: int) -> None:
    """A call's words over a deployment's, those over the model's; of one level, the scoped one."""
    for high in range(low + 1, len(_LEVELS)):
        made = over(word, {_LEVELS[low]: 1, _LEVELS[high]: 2}, target)
        given = {**made.request.params, **made.request.extra}
        assert given == {word: 2}, _LEVELS[high]


@each("lower", [{"thinking": True}, {"thinking_budget": 9}, {"reasoning": {"effort": "high"}}])
def test_how_much_a_model_thinks_is_chosen_by_one_level(lower: dict[str, Any]) -> None:
    """A call's effort stands in place of a deployment's budget, under whatever name."""
    made = words("google", lower, params={"reasoning_effort": "low"})
    assert made.request.params == {"reasoning_effort": "low"}
    both = words("google", {**lower, "reasoning_effort": "low"})
    assert len({**both.request.params, **both.request.extra}) > 0


def test_an_alias_of_a_higher_level_wins() -> None:
    """Names of one parameter are one word."""
    request = ChatRequest((), params={"max_tokens": 1}, defaults=frozenset({"max_tokens"}))
    assert requested(request, _VENDORS["openai"], {"max_output_tokens": 2}) == {"max_tokens": 2}


def test_scoped_words_are_for_their_vendor_alone_and_go_as_they_are() -> None:
    """Also where the vendor is not known to have them: that is what scopes are for."""
    scopes = Scopes(model={"openai": {"novel": 1, "top_k": 3}}, call={"anthropic": {"betas": ["b"]}})
    made = words("openai", scopes=scopes)
    assert (made.request.extra, made.request.params, made.changes) == ({"novel": 1}, {"top_k": 3}, [])
    assert words("anthropic", scopes=scopes).request.extra == {"betas": ["b"]}
    assert words("google", scopes=scopes).request.extra == {}


def test_parallel_tool_calls_has_the_same_levels() -> None:
    """Though it is no word of a body here."""
    switches = {"parallel_tool_calls": True, "defaults": frozenset({"parallel_tool_calls"})}
    assert words("openai", {"parallel_tool_calls": False}, **switches).request.parallel_tool_calls is False
    assert words(
        "openai", {"parallel_tool_calls": False}, parallel_tool_calls=True
    ).request.parallel_tool_calls


# -- words for one address ---------------------------------------------------------------------------

_ADDRESSED = {
    "extra_headers": {"x-a": "1"},
    "extra_query": {"q": 1},
    "extra_body": {"novel": 1, "max_output_tokens": 2},
}


def test_extra_headers_query_and_body_go_to_the_first_choice() -> None:
    """As they are; the body's fields win over parameters of any name for them."""
    made = words("openai", extra=_ADDRESSED, params={"max_tokens": 9}, scopes=Scopes(first="openai"))
    assert (made.endpoint.headers, made.endpoint.query) == ({"x-a": "1"}, {"q": 1})
    assert (made.request.extra, made.request.params, made.changes) == (
        {"novel": 1, "max_output_tokens": 2},
        {},
        [],
    )


@each("first", ["openai", "compatible@other.example", ""])
def test_they_go_to_no_other(first: str) -> None:
    """Nor to another host of the same vendor; each is reported."""
    made = words("compatible", extra=_ADDRESSED, scopes=Scopes(first=first))
    assert (made.endpoint.headers, made.endpoint.query, made.request.extra) == ({}, {}, {})
    assert kinds(made) == [f"{name}_dropped" for name in _ADDRESSED]


def test_those_of_a_deployment_or_a_scope_are_its_own() -> None:
    """Whatever the first choice is; headers of several levels come together."""
    scopes = Scopes(first="openai", call={"cohere": {"extra_headers": {"x-b": "2"}}})
    made = words("cohere", {"extra_headers": {"x-a": "1", "x-b": "1"}}, scopes=scopes)
    assert made.endpoint.headers == {"x-a": "1", "x-b": "2"}


def test_a_vendor_is_where_its_requests_are_read() -> None:
    """At its own address by name, at another one by host as well."""
    assert origin_of(_VENDORS["openai"], "https://api.openai.com/v1") == "openai"
    assert origin_of(_VENDORS["openai"], "https://proxy.example/v1") == "openai@proxy.example"
    assert origin_of(_VENDORS["azure"], "https://x.openai.azure.com") == "azure"


def test_hints_are_given_for_near_misses_only() -> None:
    """A word of a server's own is no misspelling."""
    assert hint_for("promt_cache_key") == " Did you mean 'prompt_cache_key'?"
    assert [hint_for(word) for word in ("safe_prompt", "temperature", "betas", "extra_body")] == [""] * 4


@each(
    ("name", "word", "value"),
    [
        ("anthropic", "instructions", "Answer in French."),
        ("openai", "system", [{"type": "text", "text": "Answer in French."}]),
        ("cohere", "system_instruction", {"parts": [{"text": "Answer in French."}]}),
    ],
)
def test_a_system_message_in_a_vendors_word_is_one_elsewhere(name: str, word: str, value: Any) -> None:
    """And is left out with `unsupported_params="drop"`, as all translations."""
    made = words(name, extra={word: value})
    assert [message.text for message in made.request.messages] == ["Answer in French."]
    assert [change.kind for change in made.changes] == [f"{word}_adapted"]
    assert not words(name, extra={word: value}, unsupported_params="drop").request.messages


def test_a_text_is_an_instruction_of_geminis() -> None:
    """As in its SDK."""
    made = words("google", extra={"system_instruction": "Be brief."})
    assert made.request.extra == {"systemInstruction": {"parts": [{"text": "Be brief."}]}}


@pytest.mark.parametrize("name", ["compatible", "cohere"])
def test_a_constructor_word_of_a_package_is_left_out_with_the_way_out(name: str) -> None:
    """Also where unknown words pass."""
    made = words(name, extra={"preamble": "Be brief."})
    assert made.request.extra == {}
    assert [(change.kind, "SystemMessage" in change.detail) for change in made.changes] == [
        ("preamble_dropped", True)
    ]
