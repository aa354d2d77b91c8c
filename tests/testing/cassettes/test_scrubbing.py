"""What is kept of an exchange: headers by permission, the rest without secrets, images as digests."""

from __future__ import annotations

import base64
import random
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.testing import (
    Cassette,
    UnmatchedRequestError,
)
from langchain_llmdispatch.testing.cassettes.scrubbing import Scrubber
from langchain_llmdispatch.testing.cassettes.secrets import REDACTED, Secrets
from tests.loopback.server import LoopbackServer
from tests.testing.models import deployment, model_of


def test_images_are_kept_as_digests(server: LoopbackServer, path: Path) -> None:
    """A large attachment makes no large file, and still has to be the same one."""

    def prompt(seed: int) -> list[Any]:

        image = base64.b64encode(random.Random(seed).randbytes(300_000)).decode()
        url = {"url": f"data:image/png;base64,{image}"}
        return [HumanMessage([{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": url}])]

    with model_of(deployment(server, "openai")) as model:
        with Cassette(path, mode="rewrite"):
            model.invoke(prompt(1))
        assert path.stat().st_size < 5_000
        with Cassette(path):
            model.invoke(prompt(1))
        with pytest.raises(UnmatchedRequestError), Cassette(path):
            model.invoke(prompt(2))


def test_urls_lose_credentials_and_names() -> None:
    """Keys in the query, Azure resources, private endpoints, project names and local ports are gone."""
    scrubber = Scrubber(Secrets(["topsecretvalue"]))
    cases = {
        "https://acme-prod.openai.azure.com/openai/deployments/d/chat?api-version=1": (
            "https://resource.openai.azure.com/openai/deployments/d/chat?api-version=1"
        ),
        "https://g.example/v1beta/models/m:gen?key=AIzaSecret&alt=sse": "https://g.example/v1beta/models/m:gen?alt=sse",
        "http://user:pass@localhost:8080/v1": "http://localhost/v1",
        "https://g.example/v1?subscription-key=hush&X-Amz-Signature=hush&pageToken=2": "https://g.example/v1?pageToken=2",
        "https://abc.us-east-1.aws.endpoints.huggingface.cloud/v1": "https://endpoint.endpoints.huggingface.cloud/v1",
        "https://v.example/v1/projects/acme-1234/locations/eu": "https://v.example/v1/projects/project/locations/eu",
        "https://x.example/topsecretvalue/y": f"https://x.example/{REDACTED}/y",
    }
    assert {url: scrubber.url(url) for url in cases} == cases


def test_forms_and_json_lose_credentials() -> None:
    """An OAuth exchange keeps its shape, not its secrets."""
    scrubber = Scrubber(Secrets())
    body = b"grant_type=client_credentials&client_secret=hush&scope=x"
    kept = scrubber.request_body(body, "application/x-www-form-urlencoded")
    assert kept == f"grant_type=client_credentials&client_secret={REDACTED}&scope=x"
    sent = scrubber.request_body(
        b'{"client_secret": "hush", "properties": {"password": {"type": "string"}}}', ""
    )
    assert sent == {"client_secret": REDACTED, "properties": {"password": {"type": "string"}}}


def test_credentials_cannot_be_kept_by_request() -> None:
    """`keep_headers` takes no header that carries them."""
    with pytest.raises(ConfigurationError, match="'x-api-key' carries credentials"):
        Scrubber(Secrets(), ["x-request-id", "x-api-key"])
    kept = Scrubber(Secrets(), ["x-*"]).request_headers([("X-Api-Key", "abcdefgh"), ("X-Trace", "1")])
    assert kept == {"x-trace": "1"}
