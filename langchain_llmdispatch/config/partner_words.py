"""A constructor's fields, with the words of LangChain's own packages in their places."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from pydantic import SecretStr

from langchain_llmdispatch.deployments.deployment import VendorConfig
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.internal.lazy import LateModule
from langchain_llmdispatch.settings import check_fields
from langchain_llmdispatch.vendors.client_words import CLIENT_WORDS
from langchain_llmdispatch.vendors.parameters import ADDRESSED, ALIASES, NEUTRAL
from langchain_llmdispatch.vendors.partner_words import FIELDS, MODELS, OF_VENDORS, REFUSED, TOKENS

_SINGLE = frozenset({"n", "candidate_count"})
"""Words for the number of answers; only one is possible."""
if TYPE_CHECKING:
    from langchain_llmdispatch.vendors.compile import words as vendor_words
else:
    vendor_words = LateModule("langchain_llmdispatch.vendors.compile.words")


def read_partner_words(owner: str, values: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """Return a constructor's fields with the words of LangChain's packages in their places.

    Args:
        owner: The class, for errors.
        values: What the constructor was given.
        known: Its fields.

    Raises:
        ConfigurationError: A word has no meaning here (the message has the way out), or is not known.
    """
    own = frozenset(known)
    fields = {word: value for word, value in values.items() if word in own}
    kwargs: dict[str, Any] = {}
    for word, value in values.items():
        if word not in own and value is not None and not (word in _SINGLE and value == 1):
            _read(word, value, fields, kwargs, values, own)
    check_fields(owner, fields, own)
    if kwargs:
        fields["model_kwargs"] = {**kwargs, **(values.get("model_kwargs") or {})}
    return fields


def _read(
    word: str,
    value: Any,
    fields: dict[str, Any],
    kwargs: dict[str, Any],
    values: Mapping[str, Any],
    own: frozenset[str],
) -> None:
    """Put one word in its place: a field, a vendor's configuration, or a word of every call."""
    if (field := FIELDS.get(word) or ALIASES.get(word)) in own:
        if values.get(field) is None:
            fields[field] = value
    elif word in OF_VENDORS:
        vendor, setting = OF_VENDORS[word]
        given = fields.get("vendors") or values.get("vendors") or {}
        fields["vendors"] = _configured(given, vendor, setting, _token(value) if word in TOKENS else value)
    elif word in MODELS:
        fields["model"] = f"{MODELS[word]}:{value}"
    elif (instead := REFUSED.get(word)) or (instead := CLIENT_WORDS.get(word)):
        raise ConfigurationError(f"{word} has no meaning here: {instead}.")
    elif word in ADDRESSED or word in NEUTRAL or word in vendor_words.owners_of():
        kwargs[word] = value
    else:
        fields[word] = value


def _configured(vendors: Mapping[str, Any], vendor: str, setting: str, value: Any) -> dict[str, Any]:
    """Return the vendors' settings with one more, which those of the caller win over."""
    held = vendors.get(vendor, {})
    if isinstance(held, VendorConfig):
        held = {name: getattr(held, name) for name in held.model_fields_set}
    return {**vendors, vendor: {setting: value, **held}}


def _token(value: Any) -> Callable[[], Any]:
    """Return a function that returns a token: as a function's result it is sent as a bearer."""
    if callable(value):
        return cast("Callable[[], Any]", value)
    token = value if isinstance(value, SecretStr) else SecretStr(str(value))
    return token.get_secret_value
