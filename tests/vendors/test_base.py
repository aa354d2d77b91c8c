"""What a vendor is by default, that its facts are its own, and the shared parts of errors and requests."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

import langchain_llmdispatch
from langchain_llmdispatch.catalog.models import ModelFacts
from langchain_llmdispatch.errors import RateLimitError, ServerError
from langchain_llmdispatch.types import Call, Endpoint
from langchain_llmdispatch.vendors import HOSTED, VENDORS, builtin_vendors
from langchain_llmdispatch.vendors.base import (
    ErrorBody,
    Listing,
    ParameterRules,
    SchemaDialect,
    StreamDecoder,
    ToolNameRules,
    Vendor,
    bearer,
    json_request,
    retry_after,
    vendor_error,
)
from tests.cases import each

CALL = Call("m", Endpoint("https://x.test", SecretStr("key-1234567890")), ())


class PlainVendor(Vendor):
    """A vendor that states its name only."""

    name = "plain"

    def encode_request(self, call: Call) -> Any:
        """Return a request."""
        return json_request(call.endpoint.base_url, bearer(call.endpoint), {"model": call.model})

    def decode_response(self, call: Call, body: bytes, headers: Mapping[str, str]) -> Any:
        """Not used."""
        raise NotImplementedError

    def stream_decoder(self, call: Call, headers: Mapping[str, str]) -> StreamDecoder:
        """Not used."""
        raise NotImplementedError

    def decode_error(self, call: Call, status: int, headers: Mapping[str, str], body: bytes) -> Any:
        """Not used."""
        raise NotImplementedError


# -- facts ---------------------------------------------------------------------------------------------


def test_a_name_is_all_that_a_vendor_must_state() -> None:
    """The rest is as for a server that speaks OpenAI's chat completions; the catalog's section is its own."""
    vendor = PlainVendor()
    assert vendor.listing.section == vendor.traced_as == "plain"
    assert vendor.parameters == ParameterRules(parallel_switch=True)
    assert (vendor.tool_names, vendor.schemas) == (ToolNameRules(), SchemaDialect())
    assert vendor.facts("any") == ModelFacts()
    assert vendor.capabilities("any") is None
    assert not vendor.is_free("any", "http://localhost")
    assert vendor.refused(CALL) == vendor.limits({}) == ()
    assert vendor.schema_with_tools("any", ModelFacts())
    assert vendor.normalise_url("http://x") == "http://x"
    assert repr(vendor) == "<vendor plain>"


def test_a_subclass_with_a_name_of_its_own_has_a_listing_of_its_own() -> None:
    """One without keeps its base's; one that is stated is kept."""

    class Same(PlainVendor):
        pass

    class Other(PlainVendor):
        name = "other"

    class Stated(PlainVendor):
        name = "stated"
        listing = Listing("openai")

    assert Same.listing is PlainVendor.listing
    assert Other.listing.section == "other"
    assert Stated().facts("gpt-6-luna").reasoning


def test_vendors_are_new_in_each_table() -> None:
    """Names are unique, and aliases name no other vendor."""
    first, second = builtin_vendors(), builtin_vendors()
    assert list(first) == list(second) == [vendor.name for vendor in (*VENDORS, *HOSTED)]
    assert all(first[name] is not second[name] for name in first)
    aliases = [alias for vendor in first.values() for alias in vendor.aliases]
    assert len({*aliases, *first}) == len(aliases) + len(first)


# -- facts at home -------------------------------------------------------------------------------------

_ROOT = Path(langchain_llmdispatch.__file__).parent
_BELOW = {"vendors", "catalog", "local"}
_NAMES = re.compile("openai|anthropic|claude|gemini|google|cohere|hugging|ollama|azure", re.IGNORECASE)
_ALLOWED = {
    # LangChain's own names of functions and modules.
    "chat_model/structured_output.py": "convert_to_openai_tool|langchain_core.output_parsers.openai_tools",
    "batch/results.py": "convert_to_openai_messages",
    "config/litellm_rows.py": "azure_ad_token",  # LiteLLM's own word
    # The server speaks OpenAI's format, in its own words.
    "cli/main.py": "serve the router over HTTP, as OpenAI's API|A row is a text.*",
    "server/request_ids.py": "openai-processing-ms",
    # A testing kit must not rely on the code that it tests: what vendors answer, and what their keys look like.
    "testing/faults/vendor_errors.py": ".*",
    "testing/cassettes/secrets.py": ".*",
    "testing/cassettes/scrubbing.py": "(anthropic|openai)-[a-z-]+",
}
"""Where a vendor may be named above `vendors/`, and how."""


def _words(tree: ast.AST) -> Iterator[str]:
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
        yield from (str(getattr(node, field, "")) for field in ("id", "attr", "arg", "name"))


@each(
    "path",
    [path for path in sorted(_ROOT.rglob("*.py")) if path.relative_to(_ROOT).parts[0] not in _BELOW],
)
def test_no_code_above_the_vendors_names_one(path: Path) -> None:
    """What is true of one vendor is stated in its folder; docstrings may give examples."""
    allowed = re.compile(_ALLOWED.get(path.relative_to(_ROOT).as_posix(), "(?!)"), re.DOTALL)
    named = {word for word in _words(ast.parse(path.read_text(encoding="utf-8"))) if _NAMES.search(word)}
    assert {word for word in named if not allowed.fullmatch(word)} == set()


# -- errors --------------------------------------------------------------------------------------------


@each(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e300"}, None),
        ({"retry-after": "2592000"}, 2_592_000.0),
        ({"retry-after-ms": "86400000"}, 86_400.0),
        (
            {"retry-after": "Sat, 28 Nov 2026 10:00:30 GMT", "date": "Sat, 28 Nov 2026 10:00:00 GMT"},
            30.0,
        ),
        ({"retry-after": "Sat, 28 Nov 2026 10:00:00 GMT", "date": "Sat, 28 Nov 2026 10:00:30 GMT"}, 0.0),
        ({"retry-after": "Sat, 28 Nov 2026 10:00:30 GMT"}, None),
        ({"retry-after": "later"}, None),
    ],
)
def test_retry_after_is_read_in_all_forms(headers: dict[str, str], seconds: float | None) -> None:
    """Milliseconds, seconds, decimals, and a date against the response's own."""
    assert retry_after(headers) == seconds


def test_an_error_has_all_that_was_reported_and_no_key() -> None:
    """Headers win over the body's own wait; the call's key is redacted."""
    body = ErrorBody("bad key key-1234567890", code="limit")
    headers = {"x-request-id": "r1", "retry-after": "3"}
    error = vendor_error(RateLimitError, PlainVendor(), CALL, body, status=429, headers=headers, wait=9)
    assert (error.vendor, error.status_code, error.code, error.request_id) == ("plain", 429, "limit", "r1")
    assert error.retry_after == 3
    assert "key-1234567890" not in str(error)
    assert vendor_error(RateLimitError, PlainVendor(), CALL, ErrorBody(""), wait=9).retry_after == 9


@each(
    ("cls", "status", "word", "retryable"),
    [
        (ServerError, 500, "false", False),
        (ServerError, 500, "true", True),
        (ServerError, 500, None, True),
        (ServerError, 400, "false", False),
    ],
)
def test_a_vendor_may_state_whether_a_retry_helps(
    cls: type[Any], status: int, word: str | None, retryable: bool
) -> None:
    """By the header `x-should-retry`."""
    headers = {"x-should-retry": word} if word else {}
    error = vendor_error(cls, PlainVendor(), CALL, ErrorBody("no"), status=status, headers=headers)
    assert error.is_retryable is retryable


# -- requests ------------------------------------------------------------------------------------------


def test_a_request_is_json_with_the_headers_given() -> None:
    """Those given win over the usual ones; host and length are set unless given."""
    request = json_request("https://x.test/v1?a=1", {"user-agent": "mine", "x-a": "1"}, {"b": "ü"})
    assert (request.method, str(request.url)) == ("POST", "https://x.test/v1?a=1")
    assert request.content == '{"b":"ü"}'.encode()
    assert request.headers["content-length"] == str(len(request.content))
    assert (request.headers["host"], request.headers["user-agent"]) == ("x.test", "mine")
    own = json_request("https://x.test", {"host": "y.test", "content-length": "2"}, {})
    assert (own.headers.get_list("host"), own.headers.get_list("content-length")) == (["y.test"], ["2"])


def test_credentials_are_a_token_or_a_key_or_nothing() -> None:
    """A token provider wins, and is called for each request."""
    tokens = iter(["t1", "t2"])
    fresh = Endpoint("https://x.test", SecretStr("k"), token_provider=lambda: next(tokens))
    assert [bearer(fresh), bearer(fresh)] == [{"authorization": "Bearer t1"}, {"authorization": "Bearer t2"}]
    assert bearer(Endpoint("https://x.test", SecretStr("k"))) == {"authorization": "Bearer k"}
    assert bearer(Endpoint("https://x.test")) == {}
