"""The words of a call that are no neutral parameters: checked, and those for one vendor set apart."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.internal.lazy import LateModule
from langchain_llmdispatch.types import Scopes
from langchain_llmdispatch.vendors.client_words import VENDOR_PARAMS, check_words, checked_vendor_params
from langchain_llmdispatch.vendors.parameters import ADDRESSED

if TYPE_CHECKING:
    from langchain_llmdispatch.vendors.compile import words as vendor_words
else:
    vendor_words = LateModule("langchain_llmdispatch.vendors.compile.words")


def checked_words(words: Mapping[str, Any], where: str = "a call") -> dict[str, Any]:
    """Return the words of a call or of `model_kwargs`, `vendor_params` apart.

    Raises:
        ConfigurationError: A key, an address or a client is among them, or a value is of the wrong kind.
    """
    own = {name: value for name, value in words.items() if name != VENDOR_PARAMS and value is not None}
    check_words(own, where)
    for name in ADDRESSED:
        if not isinstance(own.get(name, {}), Mapping):
            raise ConfigurationError(f"{where}: {name} is a mapping, not a {type(own[name]).__name__}.")
    if isinstance(many := own.get("candidate_count"), int) and many > 1:
        raise ConfigurationError(
            f"candidate_count={own['candidate_count']!r}: one answer per call; use batch()."
        )
    for name in own:
        _warn_of(name)
    return own


def scopes_of(model: Mapping[str, Mapping[str, Any]], words: Mapping[str, Any]) -> Scopes:
    """Return the words for one vendor only, of the model and of a call.

    Raises:
        ConfigurationError: `vendor_params` of the call is no mapping by vendor.
    """
    own = words.get(VENDOR_PARAMS) or {}
    return Scopes(model, checked_vendor_params(own, "a call's vendor_params") if own else own)


def _warn_of(word: str) -> None:
    if hint := _hint(word):
        warnings.warn(f"{word!r} is no word of any vendor.{hint}", stacklevel=2)


@lru_cache(maxsize=512)
def _hint(word: str) -> str:
    return vendor_words.hint_for(word)
