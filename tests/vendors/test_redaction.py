"""What is cut out of vendors' texts."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from urllib.parse import quote

from langchain_llmdispatch.vendors.redaction import credentials, hidden, redact
from tests.cases import each
from tests.vendors.error_bodies import WHOLE
from tests.vendors.samples import SAMPLES


@each(
    "key",
    [
        "sk-ant-0123456789",
        "gsk_0123456789",
        "AIzaSyD0123456789",
        "nvapi-0123456789",
        "github_pat_0123456789",
        "ghp_0123456789",
        "eyJhbGciOiJIUzI1NiJ9.e30.signature",
        "ya29.a0Ad52N3",
        "Bearer 0123456789",
    ],
)
def test_shapes_of_keys(key: str) -> None:
    """What looks like a key is cut out, wherever it comes from."""
    assert redact(f"bad key {key}!") == "bad key [redacted]!"


def test_known_secrets() -> None:
    """Known ones are cut out whatever their shape, a longer one before its part; very short ones are words."""
    assert (
        redact("of abcdefgh and abcd, abc", "abcd", "abcdefgh", "abc", None, "")
        == "of [redacted] and [redacted], abc"
    )


def test_addresses() -> None:
    """A name and password in an address are cut out; the rest of it stays."""
    assert redact("at https://user:pass@host.test:8080/v1") == "at https://[redacted]@host.test:8080/v1"
    assert redact("at https://host.test:8080/v1 by a@b.test") == "at https://host.test:8080/v1 by a@b.test"


def test_a_key_as_a_name_in_an_address() -> None:
    """The password after it is cut out, too."""
    assert redact("at https://sk-0123456789:hunter22@host.test") == "at https://[redacted]@host.test"


def _base64(secret: str) -> Iterator[str]:
    for before, after, encode in product(range(3), range(3), (base64.b64encode, base64.urlsafe_b64encode)):
        yield encode(b"{" * before + secret.encode() + b"}" * after).decode()


@each("alphabet", ["k", "aB3-", "p+/=", 'a"\\&%', "\u00fc\u20ac\U0001f511"])
@each("size", [4, 5, 6, 7, 8, 13, 39, 164])
def test_spellings_in_the_shortest_texts(alphabet: str, size: int) -> None:
    """A secret is found where a text is nothing but the secret, however it is spelled and long."""
    secret = (alphabet * size)[:size]
    escaped = "".join(f"\\u{ord(char):04x}" for char in secret)
    for spelled in (secret, escaped, quote(secret, safe=""), json.dumps(secret)[1:-1], html.escape(secret)):
        left = hidden(spelled, secret).removeprefix("[redacted]")
        assert left in {
            "",
            "25",
            "amp;",
        }  # of `%25` and `&amp;`, whose first character is the secret's last one
    core = (
        len(secret.encode()) * 4 // 3 - 2
    )  # its digits that share no bits with what stands before and after it
    if core >= 8:
        for coded in _base64(secret):
            shown = hidden(coded, secret)
            assert "[redacted]" in shown
            assert len(shown) < len("[redacted]") + 10


def test_long_texts() -> None:
    """A text is cut to what an exception shows."""
    assert redact("x" * 10_000) == "x" * 600


def test_credentials_of_headers() -> None:
    """Headers with such names hold credentials; a scheme or a cookie's name is no part of one."""
    headers = {"X-Api-Key": "k1", "authorization": "Basic abc", "Cookie": "a=b; c=d", "x-team": "research"}
    assert {"k1", "Basic abc", "abc", "a=b; c=d", "b", "d"} <= set(credentials(headers))
    assert "research" not in credentials(headers)


SECRETS = {
    "x-portkey-api-key": "pk-live-0123456789",
    "Authorization": "Basic dXNlcjpwYXNzd29yZA==",
    "cookie": "session=0123456789abcdef",
}


@each("vendor", WHOLE)
@each("name", SECRETS)
def test_credentials_in_headers_are_redacted(vendor: str, name: str) -> None:
    """A header's credential that a vendor repeats is cut out, with and without its scheme; other headers are not."""
    sample, secret = SAMPLES[vendor], SECRETS[name]
    endpoint = replace(sample.call().endpoint, headers={name: secret, "x-team": "research"})
    call = replace(sample.call(), endpoint=endpoint)
    echo = f"{secret} of {secret.rpartition(' ')[2]} at https://user:hunter22@proxy.test/v1, eyJhbGciOiJ.e30.x, research"
    error = sample.codec.decode_error(call, 401, {}, json.dumps(WHOLE[vendor](echo)).encode())
    shown = f"{error} {error!r}"
    assert secret.rpartition(" ")[2] not in shown
    assert "hunter22" not in shown
    assert "eyJ" not in shown
    assert "research" in shown
