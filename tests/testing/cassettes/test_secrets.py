"""No secret ever reaches a cassette: canaries in every vendor's requests and responses, and a last look."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_llmdispatch import Deployment, DispatcherChatModel
from langchain_llmdispatch.errors import DispatchError
from langchain_llmdispatch.testing import Cassette, SecretFoundError
from langchain_llmdispatch.testing.cassettes.file import Tape
from langchain_llmdispatch.testing.cassettes.recording import packed_body
from langchain_llmdispatch.testing.cassettes.scrubbing import Scrubber
from langchain_llmdispatch.testing.cassettes.secrets import REDACTED, Secrets
from langchain_llmdispatch.testing.middleware import installed
from langchain_llmdispatch.transport.middleware import Flow
from tests.cases import each
from tests.models import MODELS

VENDORS = ("openai", "anthropic", "google", "azure", "cohere", "huggingface", "ollama")


HOSTS = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
    "google": "https://generativelanguage.googleapis.com/v1beta",
    "azure": "https://canary-resource.openai.azure.com",
    "cohere": "https://api.cohere.com",
    "huggingface": "https://router.huggingface.co/v1",
    "ollama": "https://ollama.com",
}


ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


KEYS = st.one_of(
    st.text(ALPHABET, min_size=24, max_size=48),
    st.text(ALPHABET + "-_", min_size=20, max_size=40).map("sk-{}".format),
    st.text(ALPHABET + "-_", min_size=20, max_size=40).map("sk-ant-api03-{}".format),
    st.text(ALPHABET, min_size=35, max_size=35).map("AIza{}".format),
    st.text(ALPHABET, min_size=34, max_size=34).map("hf_{}".format),
    st.text(ALPHABET + '/+="\\', min_size=24, max_size=40),
)


class Echo:
    """A server that repeats credentials wherever one might: headers, bodies, errors, streams."""

    depth = 95
    replays = True

    def __init__(self, key: str, status: int, content_type: str) -> None:
        self.key, self.status, self.type = key, status, content_type

    def flow(self, request: httpx.Request, read_deadline: Any) -> Flow:
        """Answer."""
        yield from ()
        text = (
            f"Incorrect API key provided: {self.key}. Organization org-Canary0123456789, call {request.url}"
        )
        body = {"error": {"message": text, "code": 401}, "api_key": self.key, self.key: [*forms(self.key)]}
        bodies = {
            "application/json": json.dumps(body).encode(),
            "text/event-stream": b"".join(b"data: %s\n\n" % json.dumps(body).encode() for _ in range(3)),
            "application/x-ndjson": json.dumps(body).encode() + b"\n",
            "text/plain": f"{text} Bearer {self.key} {' '.join(forms(self.key))}".encode(),
            "application/octet-stream": b"plain",
        }
        headers = [
            ("content-type", self.type),
            ("set-cookie", f"session={self.key}"),
            ("openai-organization", "org-Canary0123456789"),
            ("x-request-id", f"req_{self.key}"),
            ("x-api-key", self.key),
            ("authorization", f"Bearer {self.key}"),
            ("server", self.key),
        ]
        return httpx.Response(self.status, headers=headers, stream=httpx.ByteStream(bodies[self.type]))


def canary_model(vendor: str, key: str) -> DispatcherChatModel:
    """Return a model whose only key is the canary."""
    headers = {"x-extra-token": key, "openai-organization": "org-Canary0123456789"}
    return DispatcherChatModel(
        models=[
            Deployment(f"{vendor}:{MODELS[vendor]}", base_url=HOSTS[vendor], api_key=key, headers=headers)
        ],
        max_attempts=1,
        env={},
    )


def coded(key: str) -> list[str]:
    """Return a key in base64: what stands before it decides on one of three forms."""
    return [base64.b64encode(f"{before}{key}".encode()).decode() for before in ("", "a", "ab")]


def forms(key: str) -> Iterator[str]:
    """Yield the forms in which a key might be written."""
    yield from (key, *spelled(key).values(), *coded(key))


def spelled(key: str) -> dict[str, str]:
    """Return a key as URLs, JSON, HTML and headers spell it."""
    json_in_json = json.dumps(json.dumps(key)[1:-1])[1:-1]
    return {
        "url": quote(key, safe=""),
        "url, slash kept": quote(key),
        "url, lower": re.sub("%..", lambda found: found[0].lower(), quote(key, safe="")),
        "json": json.dumps(key)[1:-1],
        "json, escaped slash": json.dumps(key)[1:-1].replace("/", "\\/"),
        "json in json": json_in_json,
        "unicode": "".join(c if c.isalnum() or c in "-_.~" else f"\\u{ord(c):04X}" for c in key),
        "html": html.escape(key).replace("+", "&#43;").replace("=", "&#x3d;"),
    }


@pytest.mark.parametrize("vendor", VENDORS)
@settings(max_examples=settings().max_examples // 2)
@given(
    key=KEYS,
    status=st.sampled_from([200, 401, 429, 500]),
    kind=st.sampled_from(["application/json", "text/event-stream", "application/x-ndjson", "text/plain"]),
    stream=st.booleans(),
)
def test_no_canary_reaches_a_file(
    tmp_path: Path, vendor: str, key: str, status: int, kind: str, stream: bool
) -> None:
    """Whatever a vendor is sent or sends, the file holds no form of the key and no name of the account."""
    path = tmp_path / "canary.yaml"
    with (
        canary_model(vendor, key) as model,
        installed(Echo(key, status, kind)),
        Cassette(path, mode="rewrite", environment={}),
    ):
        try:
            question = f"my key is {key}, is it right?"
            _ = list(model.stream(question)) if stream else model.invoke(question)
        except DispatchError:
            pass
    text = path.read_text()
    assert not [form for form in (key, *spelled(key).values()) if form in text]
    assert not [form for form in coded(key) if form.rstrip("=")[3:-1] in text]
    assert "Canary" not in text
    assert "canary-resource" not in text
    assert "session=" not in text
    for held in Tape.read(path).interactions:
        assert not {"authorization", "set-cookie", "x-api-key", "api-key"} & set(held.response["headers"])
        assert not {"authorization", "x-goog-api-key", "x-extra-token"} & set(held.request["headers"])


def test_a_key_in_the_pieces_of_a_stream_is_refused(tmp_path: Path) -> None:
    """A model that spells out a key, token by token, leaves no file."""
    secrets = Secrets(["canaryvalue0123456789"])
    events = [{"data": {"delta": part}} for part in ("cana", "ryvalue01", "23456789")]
    interaction = {"response": {"events": events}}
    with pytest.raises(SecretFoundError, match=r"pieces of .*delta put together hold a configured secret"):
        secrets.check({"interactions": [interaction]}, "", "x.yaml")


@each("name", spelled(""))
def test_a_key_is_known_in_every_spelling(name: str) -> None:
    """What URLs, JSON (in JSON) and HTML make of an odd key is the key."""
    key = 'Canary/Zx+9q8w7"e6r\\5t4y3u2i1=='
    secrets, text = Secrets([key]), f"<{spelled(key)[name]}>"
    assert secrets.find(text) == "a configured secret"
    assert secrets.scrub(text) == f"<{REDACTED}>"


@each("user", ["", "a", "me", "bot"])
def test_a_key_within_base64_is_known(user: str) -> None:
    """Basic credentials, and bytes around a key, hide it from the eye only."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        coded = encode(f"{user}:canary~value?0123456789:x".encode()).decode()
        secrets = Secrets(["canary~value?0123456789"])
        assert secrets.find(f"Basic {coded}") == "a configured secret"
        assert secrets.find(secrets.scrub(f"Basic {coded}")) is None


def test_pieces_of_a_stream_that_is_kept_as_text_are_put_together() -> None:
    """A stream that breaks off, or has fields twice, can spell out a key no more than another one."""
    pieces = ("cana", "ryvalue01", "23456789")
    body = "".join(f'data: {{"delta": "{part}"}}\n\n' for part in pieces)
    secrets, scrubber = Secrets(["canaryvalue0123456789"]), Scrubber(Secrets())
    for odd in ("data: {", "id: 1\nid: 2\ndata: {}\n\n"):
        response = packed_body((body + odd).encode(), "text/event-stream", scrubber)
        with pytest.raises(SecretFoundError, match="put together hold a configured secret"):
            secrets.check({"response": response}, "", "x.yaml")


@each(
    "text",
    [
        "sk-proj-abcdefghijklmnop1234",
        "sk-ant-api03-abcdefghijklmnop",
        "AIza" + "SyA0123456789abcdefghijklmnopqrstuv",
        "hf_abcdefghijklmnopqrst",
        "gsk_abcdefghijklmnopqrst",
        "xai-abcdefghijklmnopqrst",
        "Bearer abcdefghijklmnopqrst",
        "https://x.example/?key=abcdefghijkl",
        "AKIAABCDEFGHIJKLMNOP",
        "ghp_abcdefghijklmnopqrst",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijklmn",
        "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----",
        "lsv2_pt_abcdefghijklmnopqrst",
        "sk_live_0123456789abcdef",
        "postgres://user:hunter22@db.test/x",
        "redis://:hunter22@db.test:6379/0",
        "glpat-0123456789abcdefghij",
        "whsec_0123456789abcdef",
        "xoxe-0123456789-abc",
    ],
)
def test_known_shapes_are_found_and_scrubbed(text: str) -> None:
    """What looks like a key is one, known or not; what is left of it is found no more."""
    secrets = Secrets()
    assert secrets.find(f"see {text}!") is not None
    assert secrets.find(secrets.scrub(f"see {text}!")) is None
    with pytest.raises(SecretFoundError) as raised:
        secrets.check({"body": f"see {text}"}, "", "x.yaml")
    assert text not in str(raised.value)
    assert ".body" in str(raised.value)


@each(
    "text",
    [
        "the risk-averse task-list of the desk-bound",
        "Bearer of bad news",
        "gpt-5.4-mini-2026-01-01",
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk",
        "call_abcdefghijklmnopqrstuvwx",
        "chatcmpl-Abcdefghijklmnopqrstuvwxyz012",
        "the organisation, the project, the projects/ folder",
        "https://host.test/a:b@c and mailto:user@host.test",
    ],
)
def test_ordinary_text_is_not_changed(text: str) -> None:
    """Scrubbing changes nothing that is no secret."""
    secrets = Secrets(["key", "none", "your-api-key", "x" * 40])
    assert secrets.scrub(text) == text
    assert secrets.find(text) is None


def test_the_environments_secrets_are_known(tmp_path: Path) -> None:
    """The value of a variable named like a secret is looked for in what is written."""
    environment = {
        "DB_PASSWORD": "correcthorsebattery",
        "MAX_TOKENS": "4096",
        "KEY_FILE": "/etc/key.pem",
        "GREETING": "good morning to you",
    }
    secrets = Secrets()
    secrets.learn(environment)
    assert secrets.find("it is correcthorsebattery") == "a configured secret"
    assert secrets.find("4096 /etc/key.pem good morning to you") is None
