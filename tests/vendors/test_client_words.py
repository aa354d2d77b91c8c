"""Words of clients, which are never sent."""

from __future__ import annotations

import pytest

from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.vendors.client_words import CLIENT_WORDS, check_words, checked_vendor_params


def test_each_has_the_way_out() -> None:
    """The error names where it was written, and holds no value."""
    for word in CLIENT_WORDS:
        with pytest.raises(ConfigurationError, match=f"here: {word} is never sent"):
            check_words({word: "hidden"}, "here")


def test_vendor_params_are_words_by_vendor() -> None:
    """Copied, so that later changes of the caller's do not act."""
    given = {"openai": {"store": True}}
    checked = checked_vendor_params(given)
    given["openai"]["store"] = False
    assert checked == {"openai": {"store": True}}
    with pytest.raises(ConfigurationError, match="mapping of words by vendor"):
        checked_vendor_params({"openai": "store"})
