"""Owned words: the request words of one vendor, with their places in its requests, as data.

A word is a keyword that a caller may write: `invoke(..., prompt_cache_key="k")`. A vendor's words are those
of its SDK's typed parameters, in a file in its folder (`scripts/refresh_words.py` writes it), and those that
its `words.py` adds or describes further. `compile/words.py` puts a word in its place for the vendor that owns
it; for any other vendor it is translated where it `means` something neutral, or left out and reported.
"""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

Meaning: TypeAlias = Callable[[Any], Mapping[str, Any]]
"""From a word's value to the neutral parameters that it stands for; empty if it stands for none."""

_HOME = "langchain_llmdispatch.vendors"


@dataclass(frozen=True, slots=True)
class Word:
    """One request word of a vendor.

    Attributes:
        path: Its place in the body, outermost field first; empty: it does not go into the body.
        apis: The only APIs of the vendor that have it (`chat`, `responses`); empty: all.
        header: The header that holds its value, instead of the body.
        beta: The beta feature that a request with it must name (Anthropic).
        form: Turns a caller's value into the vendor's form.
        means: The neutral parameters (`response_format` included) that it stands for at another vendor.
        question: To leave it out would change the question: a vendor that does not own it cannot answer.
        harmless: To leave it out makes no difference to the answer; the report is not `lossy`.
        switch: It steers the codec, which reads it from `Call.extra`; it is not sent.
        types: The only types of value with which it is this vendor's word; empty: any.
        shared: It belongs to another vendor where a deployment of that one is among those of the call.
        system: It is a system message, which another vendor gets as one.
        text: Turns its value into that message, where it is no text already.
        as_neutral: Its owner, too, gets it as the neutral parameters that it `means`.
    """

    path: tuple[str, ...] = ()
    apis: frozenset[str] = frozenset()
    header: str = ""
    beta: str = ""
    form: Callable[[Any], Any] | None = None
    means: Meaning | None = None
    question: bool = False
    harmless: bool = False
    switch: bool = False
    types: tuple[type, ...] = ()
    shared: bool = False
    as_neutral: bool = False
    system: bool = False
    text: Callable[[Any], str] | None = None


class OwnedWords:
    """The request words of one vendor.

    Args:
        file: The file with the words of its SDK, below `vendors/`; empty for a vendor without.
        own: Words besides, or instead; one that states no place has its place by
            the file.
        takes_unknown: Whether a word that no vendor owns goes into its body, as it may know it.
        shared: The only API of the file whose words it takes, as `shared` ones; empty: all are its own.
    """

    def __init__(
        self,
        file: str = "",
        own: Mapping[str, Word] | None = None,
        *,
        takes_unknown: bool = False,
        shared: str = "",
    ) -> None:
        self._file, self._own, self.takes_unknown, self._shared = file, own or {}, takes_unknown, shared
        self._words: Mapping[str, Word] | None = None

    @property
    def words(self) -> Mapping[str, Word]:
        """The words by name; the file is read when it is first needed."""
        if self._words is None:
            self._words = self._described(self._listed()) if self._file else self._own
        return self._words

    def flat(self, *more: str) -> OwnedWords:
        """Return the words as keywords of a call, under their own names, and `more` beside them."""
        names = (*self.words, *more)
        return OwnedWords(own={name: Word((name,)) for name in names}, takes_unknown=True)

    def find(self, name: str, value: Any = None) -> Word | None:
        """Return a word that the vendor owns, or None: also where it owns it with another type of value."""
        word = self.words.get(name)
        if word is None or value is None or not word.types or isinstance(value, word.types):
            return word
        return None

    def _listed(self) -> dict[str, Word]:
        """Return the words of the file, or those that one API of it shares."""
        listed, api = _listed(self._file), self._shared
        if not api:
            return listed
        taken = {name: word for name, word in listed.items() if not word.apis or api in word.apis}
        return {name: Word(word.path, shared=True) for name, word in taken.items()}

    def _described(self, listed: Mapping[str, Word]) -> Mapping[str, Word]:
        """Return the words of the file, described by the vendor's own."""
        found = dict(listed)
        for name, word in self._own.items():
            if word.path or word.header or word.switch or word.as_neutral or name not in listed:
                found[name] = word
                continue
            place = listed[name]
            described = replace(word, path=place.path, apis=place.apis)
            found |= dict.fromkeys((name, place.path[-1]), described)
        return found


def _listed(file: str) -> dict[str, Word]:
    """Return the words in a vendor's file, by their names and by their names in the body."""
    content = pkgutil.get_data(_HOME, file)
    if content is None:  # a loader without data; no ordinary installation has one
        raise FileNotFoundError(file)
    apis: Mapping[str, Mapping[str, str]] = json.loads(content)["apis"]
    places: dict[str, dict[str, str]] = {}
    for api, words in apis.items():
        for name, place in words.items():
            for spelled in (name, place.rpartition(".")[2]):
                places.setdefault(spelled, {})[api] = place
    found = {}
    for name, by_api in places.items():
        only = frozenset(by_api) if len(by_api) < len(apis) else frozenset()
        found[name] = Word(tuple(next(iter(by_api.values())).split(".")), only)
    return found
