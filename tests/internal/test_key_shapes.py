"""Shapes of keys, and words that only look like one."""

from __future__ import annotations

from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.internal.key_shapes import without_keys
from tests.cases import each


@each(
    "text, shown",
    [
        ("key=sk-proj-0123456789", "key=[redacted]"),
        ("Bearer%20sk-0123456789", "Bearer%20[redacted]"),
        ("to https%3Ask-0123456789", "to https%3A[redacted]"),
        (r"line\nsk-0123456789", r"line\n[redacted]"),
        ("lsv2_pt_0123456789", "[redacted]"),
        ("Bearer ab/c+d~e.f==", "[redacted]"),
        ("glpat-0123456789", "[redacted]"),
        ("AKIA0123456789ABCDEF", "[redacted]"),
        ("redis://:hunter2@h", "redis://[redacted]@h"),
        ("https://h/?code=0123456789&x=1", "https://h/?[redacted]&x=1"),
        ("client_id=a&client_secret=0123456789", "client_id=a&[redacted]"),
    ],
)
def test_what_looks_like_a_key(text: str, shown: str) -> None:
    """It is hidden, also in a URL's or an escape's spelling."""
    assert without_keys(text) == shown


@each(
    "begin",
    (
        "sk- gsk_ hf_ xai- AIza AQ. csk- nvapi- pplx- gho_ ghp_ ghr_ ghs_ ghu_ github_pat_ ya29. eyJ r8_ lsv2_ tvly- "
        "glpat- npm_ xoxa- xoxb- xoxe- xoxo- xoxp- xoxr- xoxs- sk_live_ sk_test_ rk_live_ rk_test_ AKIA ASIA"
    ).split(),
)
def test_each_begin_of_a_key(begin: str) -> None:
    """A key is hidden where nothing else in the text looks like one."""
    assert without_keys(f"no {begin}0123456789ABCDEF here") == "no [redacted] here"


@each(
    "name",
    (
        "?key &token ?code &sig &signature ?password client_secret access_token refresh_token apikey api_key api-key "
        "subscription-key"
    ).split(),
)
def test_each_name_of_a_value(name: str) -> None:
    """So is the value of a parameter that holds a credential."""
    assert "0123456789" not in without_keys(f"at {name}=0123456789")


@each(
    "text",
    ["a task-specific model", "the disk-cache is full", "model flask-tiny", "?key=short", "code=1234567890"],
)
def test_what_does_not(text: str) -> None:
    """Words that end like the beginning of a key stay, as do short values."""
    assert without_keys(text) == text


def test_a_key_in_the_place_of_a_name_is_not_repeated() -> None:
    """An error of the configuration quotes what is wrong, but no key."""
    assert str(ConfigurationError("model 'sk-proj-0123456789': no vendor")) == "model '[redacted]': no vendor"
