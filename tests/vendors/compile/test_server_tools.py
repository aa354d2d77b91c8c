"""Portable tools, vendors' own tools and tools with free text, as each vendor takes them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from langchain_llmdispatch.catalog.models import ModelFacts
from langchain_llmdispatch.errors import UnsupportedFeatureError
from langchain_llmdispatch.types import Change, ToolChoice
from langchain_llmdispatch.vendors.compile.server_tools import compile_server_tools, fate_of, runs_itself
from langchain_llmdispatch.vendors.portable_tools import FIELDS
from tests.cases import each
from tests.vendors.compile.calls import TOOL as _TOOL
from tests.vendors.compile.calls import VENDORS as _VENDORS
from tests.vendors.compile.calls import compiled as _call

_MODELS = {
    "openai": "gpt-5.4-mini",
    "azure": "gpt-5.4-mini",
    "anthropic": "claude-haiku-4-5",
    "google": "gemini-3.8-flash",
}


def _body(vendor: str, **given: Any) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    call, kinds = _call(vendor, model=_MODELS.get(vendor, "m-1"), **given)
    request = _VENDORS[vendor].encode_request(call)
    return json.loads(request.content), dict(request.headers), kinds


_PLACE = {"country": "DE", "city": "Ulm"}
_SEARCH = {"type": "web_search", "allowed_domains": ["a.test"], "user_location": _PLACE}
_MCP = {
    "type": "mcp",
    "server_label": "wiki",
    "server_url": "https://wiki.test/mcp",
    "authorization": "token",
    "portable": True,
}
_SPELLED = {name: value for name, value in _MCP.items() if name != "portable"}
_OPEN = {name: value for name, value in _SPELLED.items() if name != "authorization"}
_APPROX = {"type": "approximate", **_PLACE}


@each(
    ("vendor", "tool", "spelled"),
    [
        ("openai", _SEARCH, {"type": "web_search", "filters": {"allowed_domains": ["a.test"]},
                             "user_location": _APPROX}),
        ("anthropic", _SEARCH, {"type": "web_search_20250305", "name": "web_search",
                                "allowed_domains": ["a.test"], "user_location": _APPROX}),
        ("google", {"type": "web_search"}, {"google_search": {}}),
        ("anthropic", {"type": "web_fetch", "max_uses": 3},
         {"type": "web_fetch_20250910", "name": "web_fetch", "max_uses": 3}),
        ("google", {"type": "web_fetch"}, {"url_context": {}}),
        ("openai", {"type": "code_execution"},
         {"type": "code_interpreter", "container": {"type": "auto"}}),
        ("anthropic", {"type": "code_execution"},
         {"type": "code_execution_20250825", "name": "code_execution"}),
        ("google", {"type": "code_execution"}, {"code_execution": {}}),
        ("openai", _MCP, {**_SPELLED, "require_approval": "never"}),
        ("openai", _SPELLED, _SPELLED),
        ("openai", _OPEN, _OPEN),
        ("anthropic", _MCP, {"type": "mcp_toolset", "mcp_server_name": "wiki"}),
        ("anthropic", {**_MCP, "allowed_tools": ["read"]},
         {"type": "mcp_toolset", "mcp_server_name": "wiki", "default_config": {"enabled": False},
          "configs": {"read": {"enabled": True}}}),
        ("google", _MCP, {"mcp_servers": [{"name": "wiki", "streamable_http_transport": {
            "url": "https://wiki.test/mcp", "headers": {"Authorization": "Bearer token"}}}]}),
        ("openai", {"type": "tool_search"}, {"type": "tool_search"}),
        ("anthropic", {"type": "tool_search"},
         {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"}),
        ("openai", {"type": "tool_search_tool_regex_20251119", "name": "t"}, {"type": "tool_search"}),
    ],
)  # fmt: skip
def test_portable_tools_are_spelled_for_each_vendor(vendor: str, tool: Any, spelled: Any) -> None:
    """By the types of the vendors' own packages; Azure's are OpenAI's."""
    for name in {vendor, *({"azure"} if vendor == "openai" else ())}:
        body, _, kinds = _body(name, server_tools=[tool])
        assert (body["tools"], kinds) == ([spelled], [])


def test_anthropics_server_stands_beside_its_toolset() -> None:
    """With the caller's own servers, and under the beta feature that both need."""
    own = {"type": "url", "name": "own", "url": "https://own.test"}
    body, headers, _ = _body("anthropic", server_tools=[_MCP], extra={"mcp_servers": [own]})
    server = {"type": "url", "name": "wiki", "url": "https://wiki.test/mcp", "authorization_token": "token"}
    assert body["mcp_servers"] == [own, server]
    assert "mcp-client-2025-11-20" in headers["anthropic-beta"]


@each("kind", FIELDS)
@each("vendor", _VENDORS)
def test_a_portable_tool_is_taken_or_refused_or_left_out(vendor: str, kind: str) -> None:
    """Nothing else, at any vendor, and a vendor's own dict is never spelled for another."""
    has = kind in _VENDORS[vendor].portable_tools
    tool = {"type": kind, "server_url": "https://x.test"} if kind == "mcp" else {"type": kind}
    needless = kind == "tool_search"
    assert fate_of(_VENDORS[vendor], tool, "adapt")[0] == (
        "portable" if has else "left out" if needless else "refused"
    )
    assert fate_of(_VENDORS[vendor], tool, "drop")[0] == ("portable" if has else "left out")
    changes: list[Change] = []
    made = compile_server_tools(_VENDORS[vendor], [tool], "drop", changes)
    assert (len(made.kept), [change.lossy for change in changes]) == (int(has), [] if has else [not needless])


@each(
    ("vendor", "tool"),
    [
        ("google", _SEARCH),
        ("openai", {"type": "web_search", "blocked_domains": ["b.test"]}),
        ("google", {**_MCP, "allowed_tools": ["read"]}),
        ("anthropic", {"type": "web_search", "allowed_domains": ["a.test"], "blocked_domains": ["x.a.test"]}),
        ("anthropic", {"type": "mcp", "server_label": "w", "server_url": "u", "require_approval": "never"}),
        ("anthropic", _SPELLED),
        ("google", _SPELLED),
    ],
)
def test_a_tool_never_does_more_than_it_may(vendor: str, tool: Any) -> None:
    """What the vendor cannot keep it to makes it ineligible, or the tool is left out."""
    with pytest.raises(UnsupportedFeatureError, match="has no|does not run"):
        _body(vendor, server_tools=[tool])
    body, _, kinds = _body(vendor, server_tools=[tool], unsupported_params="drop")
    assert ("tools" in body, kinds) == (False, ["server_tool_dropped"])


def test_hints_are_left_out_with_a_report() -> None:
    """Where an answer is the same in kind without them; an error if the caller chose that."""
    tool = {"type": "web_search", "max_uses": 2}
    body, _, kinds = _body("openai", server_tools=[tool])
    assert (body["tools"], kinds) == ([{"type": "web_search"}], ["server_tool_adapted"])
    with pytest.raises(UnsupportedFeatureError, match="web_search has no max_uses"):
        _body("openai", server_tools=[tool], unsupported_params="raise")


def test_one_list_of_domains() -> None:
    """Anthropic takes allowed or blocked ones: those allowed that are not blocked."""
    tool = {"type": "web_search", "allowed_domains": ["a.test", "b.test"], "blocked_domains": ["b.test"]}
    body, _, _ = _body("anthropic", server_tools=[tool])
    assert body["tools"][0]["allowed_domains"] == ["a.test"]
    assert "blocked_domains" not in body["tools"][0]


@each(
    ("tool", "owners"),
    [
        ({"file_search": {"fileSearchStoreNames": ["s"]}}, {"google"}),
        ({"fileSearch": {}}, {"google"}),
        ({"computer_use": {}}, {"google"}),
        ({"mcp_servers": []}, {"google"}),
        ({"enterpriseWebSearch": {}}, {"google"}),
        ({"type": "file_search", "vector_store_ids": ["v"]}, {"openai", "azure"}),
        ({"type": "namespace", "name": "n", "tools": []}, {"openai", "azure"}),
        ({"type": "computer_toolset_20260801"}, {"anthropic"}),
        ({"type": "browser_search"}, {"compatible", "groq", "local"}),
        ({"type": "acme"}, set()),
    ],
)
def test_vendors_own_tools_go_to_their_vendor_alone(tool: Any, owners: set[str]) -> None:
    """Gemini's are known by their key, which may be a type of OpenAI's, too."""
    assert {name for name, vendor in _VENDORS.items() if runs_itself(vendor, tool)} == owners


def test_functions_beside_a_vendors_own_tools() -> None:
    """Gemini takes both from its third generation on; the use of a computer is functions, too."""
    search = {"google_search": {}}
    old = ModelFacts(thought_signatures=False)
    with pytest.raises(UnsupportedFeatureError, match="either functions or"):
        _call("google", old, tools=[_TOOL], server_tools=[search])
    call, kinds = _call("google", old, tools=[_TOOL], server_tools=[search], unsupported_params="drop")
    assert (len(call.tools), call.server_tools, kinds) == (1, [], ["server_tool_dropped"])
    new = ModelFacts(thought_signatures=True)
    for facts, tool in ((new, search), (old, {"computerUse": {}})):
        call, kinds = _call("google", facts, tools=[_TOOL], server_tools=[tool])
        assert (call.server_tools, kinds) == ([tool], [])


# -- tools with free text ------------------------------------------------------------------------------

_GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: WORD"}
_CODE = {"type": "custom", "name": "code", "description": "Runs it.", "format": _GRAMMAR}


def test_a_tool_with_free_text_goes_as_it_is_to_openai() -> None:
    """Flat in Responses, nested in chat completions."""
    assert _body("openai", server_tools=[_CODE])[0]["tools"] == [_CODE]
    body, _, _ = _body(
        "openai",
        server_tools=[_CODE],
        params={"use_responses_api": False},
        tool_choice=ToolChoice("tool", "code", _CODE),
    )
    inner = {name: value for name, value in _CODE.items() if name != "type"}
    assert body["tools"] == [{"type": "custom", "custom": inner}]
    assert body["tool_choice"] == {"type": "custom", "custom": {"name": "code"}}


@each("vendor", sorted(_VENDORS.keys() - {"openai", "azure"}))
def test_it_is_a_function_elsewhere(vendor: str) -> None:
    """With the argument that LangChain gives such tools, so that the call comes back in the same form."""
    call, kinds = _call(vendor, server_tools=[_CODE], tool_choice=ToolChoice("tool", "code", _CODE))
    (tool,) = call.tools
    assert (tool.name, tool.description, kinds) == ("code", "Runs it.", ["custom_tool_adapted"])
    assert tool.parameters["required"] == ["__arg1"]
    assert "start: WORD" in tool.parameters["properties"]["__arg1"]["description"]
    assert call.tool_choice == ToolChoice("tool", "code")
    with pytest.raises(UnsupportedFeatureError, match="does not run the tool 'custom'"):
        _call(vendor, server_tools=[_CODE], unsupported_params="raise")
    assert not _call(vendor, server_tools=[_CODE], unsupported_params="drop")[0].tools


def test_tools_that_only_save_tokens_cost_no_vendor() -> None:
    """They are left out without a loss."""
    call, kinds = _call("google", tools=[_TOOL], server_tools=[{"type": "tool_search"}])
    assert (len(call.tools), call.server_tools, kinds) == (1, [], ["server_tool_dropped"])
