"""The words of a request as one target takes them: its vendor's own in their places, and no other vendor's.

Of each word the highest level holds; within a level, what is scoped:

    level        general                                  scoped
    -----------  ---------------------------------------  --------------------------------
    call         `invoke(word=...)`, `bind(word=...)`     `invoke(vendor_params={...})`
    deployment                                            `Deployment(params={...})`
    model        fields, `model_kwargs={...}`             `vendor_params={...}`

A general word that only other vendors own is translated where it has a counterpart, or left out; one that no
vendor owns goes to vendors that may know it. A scoped word goes as it is to the vendor it was given for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache, lru_cache
from typing import Any

from langchain_core.messages import BaseMessage, SystemMessage

from langchain_llmdispatch import vendors
from langchain_llmdispatch.errors import UnsupportedFeatureError, UnsupportedParameterError
from langchain_llmdispatch.types import Change, ChatRequest, Endpoint, OutputSchema, Scopes, under
from langchain_llmdispatch.vendors.base import Vendor, Word
from langchain_llmdispatch.vendors.compile.neutral_tools import neutral_output
from langchain_llmdispatch.vendors.parameters import ADDRESSED, ALIASES, NEUTRAL
from langchain_llmdispatch.vendors.partner_words import REFUSED
from langchain_llmdispatch.vendors.request import joined
from langchain_llmdispatch.vendors.server_state import host_of
from langchain_llmdispatch.vendors.word_secrets import revealed, secrets_in

_NO_SCOPES = Scopes()
_REWRITTEN = frozenset({"thinking", "metadata"})
"""Parameters that become others where a vendor does not take them."""
_QUESTION = "{} belongs to {}, and without it the question is another"


@dataclass(frozen=True, slots=True)
class CompiledWords:
    """A request whose words are those of one target.

    Attributes:
        request: The request: `params` are all that the target was given, `extra` is by places in its body.
        endpoint: The target's endpoint, with headers and query of this request.
        changes: What was translated, left out or passed unread.
    """

    request: ChatRequest
    endpoint: Endpoint
    changes: list[Change]


def compile_words(
    vendor: Vendor, request: ChatRequest, endpoint: Endpoint, defaults: Mapping[str, Any]
) -> CompiledWords:
    """Return the request with the words that one target takes.

    Args:
        vendor: The target's vendor.
        request: The request.
        endpoint: Where it goes.
        defaults: The deployment's parameters.

    Raises:
        UnsupportedFeatureError: Without a word that the vendor does not have, the question would be another.
        UnsupportedParameterError: With `unsupported_params="raise"`, a word that the vendor does not have.
    """
    compiler = _WordCompiler(vendor, request, endpoint)
    for words, scoped in _levels(vendor, request, defaults):
        compiler.choose(words, scoped=scoped)
    return compiler.compiled()


def requested(request: ChatRequest, vendor: Vendor, defaults: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the neutral parameters that a target is given, over all levels."""
    found: dict[str, Any] = {}
    for words, _ in _levels(vendor, request, defaults):
        found |= {ALIASES.get(name, name): value for name, value in words.items() if name in NEUTRAL}
    return {name: value for name, value in found.items() if value is not None}


def _levels(
    vendor: Vendor, request: ChatRequest, defaults: Mapping[str, Any]
) -> Iterator[tuple[Mapping[str, Any], bool]]:
    """Yield what each level gives to a vendor, the lowest first, and whether it is scoped."""
    general, scopes = {**request.params, **request.extra}, request.scopes or _NO_SCOPES
    if request.parallel_tool_calls is not None:
        general["parallel_tool_calls"] = request.parallel_tool_calls
    of_model = request.defaults
    yield {name: value for name, value in general.items() if name in of_model}, False
    yield _of(scopes.model, vendor), True
    yield defaults, True
    yield {name: value for name, value in general.items() if name not in of_model}, False
    yield _of(scopes.call, vendor), True


def _of(scoped: Mapping[str, Mapping[str, Any]], vendor: Vendor) -> Mapping[str, Any]:
    """Return what is for a vendor; a LangChain model goes by the vendor that it is for as well."""
    own = scoped.get(vendor.name, {})
    return {**scoped.get(vendor.traced_as, {}), **own} if vendor.runs else own


@lru_cache(maxsize=512)
def origin_of(vendor: Vendor, base_url: str) -> str:
    """Return the name of who reads a request: the vendor, or, at an address not its own, vendor and host."""
    if vendor.runs:
        return f"{vendor.name}:{vendor.traced_as}"
    host, own = host_of(base_url), vendor.domains
    at_home = host == host_of(vendor.base_url or "") or (bool(own) and host.endswith(own))
    return vendor.name if at_home else f"{vendor.name}@{host}"


@cache
def owners_of() -> Mapping[str, tuple[type[Vendor], ...]]:
    """Return the built-in vendors that own each word."""
    found: dict[str, list[type[Vendor]]] = {}
    for vendor in vendors.VENDORS:
        for name in vendor.words.words:
            found.setdefault(name, []).append(vendor)
    return {name: tuple(vendors) for name, vendors in found.items()}


def foreign_question(vendor: Vendor, request: ChatRequest, base_url: str) -> str | None:
    """Return why a target cannot answer a request, if that is for a word of another's (a stored answer).

    What one of two vendors with the same words has stored (OpenAI, Azure) is that of the call's first choice.
    """
    first = request.scopes.first if request.scopes is not None else ""
    for name, value in request.extra.items():
        owners = owners_of().get(name, ())
        if value is None or not any(owner.words.words[name].question for owner in owners):
            continue
        if vendor.words.find(name, value) is None:
            return _QUESTION.format(name, " and ".join(owner.name for owner in owners))
        if first and first != origin_of(vendor, base_url):
            return _QUESTION.format(name, f"the call's first choice, {first}")
    return None


def hint_for(word: str) -> str:
    """Return ` Did you mean 'x'?` for a word that no vendor owns but that is nearly one; else nothing."""
    if word in NEUTRAL or word in ADDRESSED or word in owners_of():
        return ""
    near = get_close_matches(word.casefold(), (*NEUTRAL, *owners_of()), n=1, cutoff=0.85)
    return f" Did you mean {near[0]!r}?" if near else ""


@dataclass(frozen=True, slots=True)
class _Chosen:
    """One word as its highest level has it."""

    name: str
    value: Any
    scoped: bool
    literal: bool = False


@dataclass(slots=True)
class _WordCompiler:
    """The words of one request while they are compiled for one target."""

    vendor: Vendor
    request: ChatRequest
    endpoint: Endpoint
    chosen: dict[str, _Chosen] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)
    formats: dict[str, Any] = field(default_factory=dict)
    system: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)

    def choose(self, words: Mapping[str, Any], *, scoped: bool) -> None:
        """Take the words of one level over those of lower ones."""
        words = revealed(words)
        self.chosen = dict(under(self.chosen, {ALIASES.get(name, name): name for name in words}))
        # What a caller wrote in a vendor's own words is more deliberate than a default: aliases come last.
        for name, value in sorted(words.items(), key=lambda item: item[0] in ALIASES):
            if name not in ADDRESSED:
                self.chosen[ALIASES.get(name, name)] = _Chosen(name, value, scoped)
        for name in ADDRESSED:
            if words.get(name):
                self._address(name, words[name], scoped=scoped)

    def compiled(self) -> CompiledWords:
        """Return the request with what was chosen in its places."""
        for canonical, word in self.chosen.items():
            if word.value is None:
                continue
            if canonical in NEUTRAL and not word.literal:
                self.params[canonical] = word.value
        for canonical, word in self.chosen.items():
            if word.value is not None and (word.literal or canonical not in NEUTRAL):
                self._place(word)
        request, endpoint = self.request, self.endpoint
        if self.headers or self.query:
            headers, query = {**endpoint.headers, **self.headers}, {**endpoint.query, **self.query}
            endpoint = replace(endpoint, headers=headers, query=query)
        return CompiledWords(
            replace(
                request,
                messages=_with_system(request.messages, self.system),
                params=self.params,
                extra=self.body,
                output=self._output(),
                parallel_tool_calls=self._parallel(),
                scopes=Scopes(first=self._first()) if self._first() else None,
            ),
            endpoint,
            self.changes,
        )

    # -- words for one address -----------------------------------------------------------------------

    def _address(self, name: str, value: Mapping[str, Any], *, scoped: bool) -> None:
        """Take `extra_headers`, `extra_query` or `extra_body` if they are for this target."""
        if not scoped and self._origin() != self._first():
            self._leave_out(name, f"it belongs to the call's first choice, {self._first()}")
        elif self.vendor.words.find(name) is not None:
            self.chosen[name] = _Chosen(name, value, scoped)
        elif name == "extra_headers":
            self.headers |= {key: str(text) for key, text in value.items() if text is not None}
        elif name == "extra_query":
            self.query |= value
        else:
            literal = {ALIASES.get(key, key): _Chosen(key, inner, True, True) for key, inner in value.items()}
            self.chosen |= literal

    def _origin(self) -> str:
        return origin_of(self.vendor, self.endpoint.base_url)

    def _first(self) -> str:
        return self.request.scopes.first if self.request.scopes is not None else ""

    # -- one word ------------------------------------------------------------------------------------

    def _place(self, chosen: _Chosen) -> None:
        """Put a word where the vendor takes it, translate it, or leave it out."""
        name, value = chosen.name, chosen.value
        if chosen.literal:
            self._put((name,), value)
        elif name == "parallel_tool_calls":
            return
        elif (own := self._own(name, value)) is not None:
            if own.question and not chosen.scoped and self._first() not in {"", self._origin()}:
                self._translate(name, value, {f"the call's first choice, {self._first()}": own})
            else:
                self._put_own(own, name, value)
        elif chosen.scoped:
            self._put((name,), value)
        elif owners := owners_of().get(name):
            owned = {vendor.name: vendor.words.words[name] for vendor in owners}
            theirs = {
                owner: word for owner, word in owned.items() if not word.shared and owner != self.vendor.name
            }
            self._translate(name, value, theirs or owned)
        elif self.request.scopes is not None and name in self.request.scopes.owned:
            self._leave_out(name, "a word of another vendor among the call's deployments")
        elif name in REFUSED or not self.vendor.words_at(self.endpoint.base_url).takes_unknown:
            self._leave_out(name, _why_unknown(name))
        elif self._first() not in {"", self._origin()} and any(secrets_in(value, name)):
            self._leave_out(name, f"it may hold a credential, and belongs to {self._first()}")
        else:
            self._put((name,), value)
            self.changes.append(Change(f"{name}_passed", "a word that no vendor is known to have"))

    def _own(self, name: str, value: Any) -> Word | None:
        """Return a word as the target's vendor owns it, or None."""
        own = self.vendor.words_at(self.endpoint.base_url).find(name, value)
        if own is None or not own.shared or self.request.scopes is None:
            return own
        others = {vendor.name for vendor in owners_of()[name]} - {self.vendor.name}
        return None if others & self.request.scopes.vendors else own

    def _put_own(self, word: Word, name: str, value: Any) -> None:
        if word.as_neutral and word.means is not None:
            for meant, inner in word.means(value).items():
                self._mean(meant, inner)
            return
        value = word.form(value) if word.form is not None else value
        if word.header:
            self.headers[word.header] = str(value)
        else:
            self._put((name,) if word.switch else word.path, value)

    def _put(self, path: tuple[str, ...], value: Any) -> None:
        """Put a value at its place in the body; objects there are merged."""
        *outer, last = path
        place = self.body
        for step in outer:
            inner = place.get(step)
            place[step] = place = dict(inner) if isinstance(inner, Mapping) else {}
        place[last] = joined(place.get(last), value)

    def _translate(self, name: str, value: Any, owned: Mapping[str, Word]) -> None:
        """Set what another vendor's word means here, or leave it out."""
        whose = " and ".join(owned)
        if any(word.question for word in owned.values()) and self.request.unsupported_params != "drop":
            raise UnsupportedFeatureError(_QUESTION.format(name, whose), vendor=self.vendor.name)
        text = next((system_text(word, value) for word in owned.values() if word.system), "")
        if text and self.request.unsupported_params == "adapt":
            self.system.append(text)
            self.changes.append(Change(f"{name}_adapted", f"a word of {whose}; a system message instead"))
            return
        meant: Mapping[str, Any] = {}
        if self.request.unsupported_params == "adapt":
            meant = next((m for word in owned.values() if word.means and (m := word.means(value))), {})
        taken = [self._mean(other, inner) for other, inner in meant.items()]
        if any(taken):
            shown = ", ".join(other for other, done in zip(meant, taken, strict=True) if done)
            self.changes.append(Change(f"{name}_adapted", f"a word of {whose}; {shown} instead", lossy=True))
        elif not any(word.switch for word in owned.values()):
            harmless = all(word.harmless for word in owned.values())
            self._leave_out(name, f"a word of {whose}", lossy=not harmless)

    def _mean(self, name: str, value: Any) -> bool:
        """Set a neutral parameter, an answer's format, or a word of this vendor; return whether it has it."""
        if name == "response_format":
            self.formats = {**value, **self.formats} if "json_schema" in self.formats else dict(value)
        elif name in NEUTRAL:
            if name not in self.vendor.parameters.takes and name not in _REWRITTEN:
                return False
            held = self.params.get(name)
            if held is None or (isinstance(held, Mapping) and isinstance(value, Mapping)):
                self.params[name] = joined(value, held) if held is not None else value
        elif name in self.chosen:
            return True
        elif (own := self._own(name, value)) is not None and not own.shared:
            self._put_own(own, name, value)
        else:
            return False
        return True

    def _leave_out(self, name: str, why: str, *, lossy: bool = True) -> None:
        """Report a word that is not sent.

        Raises:
            UnsupportedParameterError: With policy `raise`.
        """
        if self.request.unsupported_params == "raise":
            raise UnsupportedParameterError(f"{self.vendor.name} does not take {name}: {why}")
        self.changes.append(Change(f"{name}_dropped", why, lossy))

    # -- the rest of the request ---------------------------------------------------------------------

    def _output(self) -> OutputSchema | None:
        return self.request.output or neutral_output(self.formats or None)

    def _parallel(self) -> bool | None:
        chosen = self.chosen.get("parallel_tool_calls")
        return self.request.parallel_tool_calls if chosen is None else chosen.value


def _why_unknown(word: str) -> str:
    """Return why a word that no vendor owns is not sent; one of LangChain's packages has its own way out."""
    if instead := REFUSED.get(word):
        return f"it has no meaning here: {instead}"
    return f"no vendor is known to have this word.{hint_for(word)} {_WAY_OUT}"


def system_text(word: Word, value: Any) -> str:
    """Return the system message that stands for another vendor's word; empty if it has none."""
    return word.text(value) if word.text is not None else "\n\n".join(_texts(value))


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts in a vendor's form of a system message: a text, blocks, or Gemini's content."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts(value.get("text") or value.get("parts") or value.get("content"))
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _texts(part)


def _with_system(messages: Sequence[BaseMessage], texts: Sequence[str]) -> Sequence[BaseMessage]:
    """Return a history with texts before it as system messages."""
    return [*(SystemMessage(text) for text in texts), *messages] if texts else messages


_WAY_OUT = "Scope it to send it: vendor_params={vendor: {...}}, or Deployment(params={...})."
