"""A vendor of a third party, in this one file: a codec of its own, and one that answers by itself."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Generator, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage

from langchain_llmdispatch import (
    Deployment,
    DispatcherChatModel,
    RoutingRule,
    StreamInterruptedError,
    Vendor,
    VendorConfig,
    errors,
)
from langchain_llmdispatch.testing import FakeClock
from langchain_llmdispatch.types import Call
from langchain_llmdispatch.vendors.base import (
    Environment,
    ErrorBody,
    HistoryRules,
    Listing,
    ModelFacts,
    ParameterRules,
    SchemaDialect,
    SchemaRules,
    ToolNameRules,
    json_request,
    vendor_error,
)
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import TOOL

_ROLES = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool"}
_ERRORS = {401: errors.AuthenticationError, 429: errors.RateLimitError, 400: errors.InvalidRequestError}


class AcmeVendor(Vendor):
    """Has a format of lines (Ollama's, which the loopback server understands), from scratch."""

    name = "acme"
    aliases = ("acme-ai",)
    environment = Environment(keys=("ACME_API_KEY",), urls=("ACME_URL",))
    model_names = ("acme-*",)
    default_model = "acme-1"
    # Resold by a service whose prices are known; people write `acme/` before its models' names.
    listing = Listing("acme", seller="groq", prefixes=("acme/", "acme-hosted/"))
    litellm_names = ("acme_ai",)
    history: ClassVar[HistoryRules] = HistoryRules(provider="acme", system="leading", reasoning="text")
    parameters: ClassVar[ParameterRules] = ParameterRules(frozenset({"temperature", "stop"}), most_stops=1)
    tool_names = ToolNameRules(re.compile("[a-z][a-z0-9_]*"), most=15)
    schemas = SchemaDialect(SchemaRules(additional_properties="drop", dropped=frozenset({"minimum"})))
    server_tools = ("acme_search",)

    def facts(self, model: str) -> ModelFacts:
        """Return that no model can be made to call a tool."""
        return replace(super().facts(model), forced_tool_choice=False)

    def is_free(self, model: str, base_url: str) -> bool:
        """Return whether it is the small one, which runs on the user's machine."""
        return model.endswith("-tiny")

    def encode_request(self, call: Call) -> httpx.Request:
        """Return the request."""
        key = call.endpoint.api_key.get_secret_value() if call.endpoint.api_key else ""
        body: dict[str, Any] = {
            "model": call.model,
            "messages": [_message(message) for message in call.messages],
            "stream": call.stream,
            "options": dict(call.params),
        }
        if call.tools:
            body["tools"] = [_tool(tool) for tool in call.tools]
        url = f"{call.endpoint.base_url}/api/chat"
        return json_request(url, {"authorization": f"Bearer {key}"}, body)

    def decode_response(self, call: Call, body: bytes, headers: Mapping[str, str]) -> AIMessage:
        """Return the message."""
        reply = json.loads(body)
        return AIMessage(
            reply["message"]["content"], tool_calls=_calls(reply, call.tool_names), **_facts(reply)
        )

    def stream_decoder(self, call: Call, headers: Mapping[str, str]) -> AcmeStream:
        """Return a decoder."""
        return AcmeStream(call.tool_names)

    def decode_error(
        self, call: Call, status: int, headers: Mapping[str, str], body: bytes
    ) -> errors.VendorError:
        """Return the error."""
        cls = _ERRORS.get(status, errors.ServerError)
        text = ErrorBody(body.decode(errors="replace"))
        return vendor_error(cls, self, call, text, status=status, headers=headers)

    def capabilities(self, model: str) -> None:
        """Say nothing."""


class AcmeStream:
    """Decodes lines."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names, self._rest, self.done = names, b"", False

    @property
    def finished(self) -> bool:
        """Whether the last line was seen."""
        return self.done

    def feed(self, data: bytes) -> list[AIMessageChunk]:
        """Return the chunks of whole lines."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [self._chunk(json.loads(line)) for line in lines if line]

    def _chunk(self, reply: dict[str, Any]) -> AIMessageChunk:
        pieces = [
            {"name": call["name"], "args": json.dumps(call["args"]), "id": call["id"], "index": n}
            for n, call in enumerate(_calls(reply, self._names))
        ]
        self.done = reply["done"]
        facts = _facts(reply) if self.done else {"response_metadata": {"model_provider": "acme"}}
        position = "last" if self.done else None
        text = reply["message"]["content"]
        return AIMessageChunk(text, tool_call_chunks=pieces, chunk_position=position, **facts)

    def close(self) -> list[AIMessageChunk]:
        """Refuse a stream without its last line."""
        if not self.done:
            raise errors.TruncatedStreamError("no last line")
        return []


def _message(message: BaseMessage) -> dict[str, Any]:
    made: dict[str, Any] = {"role": _ROLES[message.type], "content": message.text}
    if isinstance(message, AIMessage) and message.tool_calls:
        made["tool_calls"] = [
            {"id": c["id"], "function": {"name": c["name"], "arguments": c["args"]}}
            for c in message.tool_calls
        ]
    return made


def _tool(tool: Any) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


def _calls(reply: dict[str, Any], names: Mapping[str, str]) -> list[Any]:
    functions = [(one["id"], one["function"]) for one in reply["message"].get("tool_calls", ())]
    return [
        {"name": names.get(f["name"], f["name"]), "args": f["arguments"], "id": id_} for id_, f in functions
    ]


def _facts(reply: dict[str, Any]) -> dict[str, Any]:
    used, made = reply["prompt_eval_count"], reply["eval_count"]
    return {
        "usage_metadata": {"input_tokens": used, "output_tokens": made, "total_tokens": used + made},
        "response_metadata": {
            "model_provider": "acme",
            "model_name": reply["model"],
            "finish_reason": reply["done_reason"],
        },
    }


RICH_TOOL = {
    **TOOL,
    "title": "magic-function/v2",
    "properties": {"input": {"type": "integer", "minimum": 0}},
    "additionalProperties": {"type": "string"},
}


COHERE = "cohere:command-a-03-2025"


def router(server: LoopbackServer, **fields: Any) -> DispatcherChatModel:
    """Return a router on the new vendor, handed in, and on a built-in one; their keys are in the environment."""
    env = {"ACME_API_KEY": "acme-key-1234", "ACME_URL": server.base_url("ollama"), "CO_API_KEY": "key"}
    settings: dict[str, Any] = {
        "models": ["acme:acme-1", Deployment(COHERE, base_url=server.base_url("cohere"), api_key="key")],
        "custom_vendors": [AcmeVendor()],
        "env": env,
        "clock": FakeClock(),
    }
    return DispatcherChatModel(**{**settings, **fields})


def test_it_is_used_like_any_other(server: LoopbackServer) -> None:
    """By its name, an alias or a well-known model name; whole, streamed and async."""
    model = router(server)
    for name in ("acme:acme-1", "acme-ai:acme-1", "acme-2"):
        answer = model.invoke("Hello", model=name)
        facts = answer.response_metadata
        assert (facts["llmdispatch"]["vendor"], facts["model_provider"]) == ("acme", "acme")
        assert "Hello" in answer.text
    assert {"acme"} < set(model.get_vendors())
    assert (model.is_available("acme"), model.get_vendor("acme-ai").name) == (True, "acme")
    whole = "".join(chunk.text for chunk in model.stream("Hello"))
    assert whole == model.invoke("Hello").text
    assert asyncio.run(model.ainvoke("Hello")).text == whole
    assert server.requests[0].headers["authorization"] == "Bearer acme-key-1234"
    assert model.get_stats().vendor_stats["acme"].requests == 6


def test_it_stands_in_every_field_that_names_a_vendor(server: LoopbackServer) -> None:
    """In models, routes, rules, credentials, and as the default, the last or an allowed vendor."""
    url = server.base_url("ollama")
    model = router(
        server,
        models=[Deployment(COHERE, base_url=server.base_url("cohere"), api_key="key")],
        routes={"tools": ["acme:acme-1"], "fast": [Deployment("acme-2", rpm=50)]},
        routing_rules=[
            RoutingRule(vendor="acme-ai", has_tools=True),
            RoutingRule(route="fast", max_tokens=5),
        ],
        vendors={"acme-ai": VendorConfig(api_key="acme-own", base_url=url)},
        allowed_vendors=["acme", "cohere"],
        default_vendor="acme",
        fallback_vendor="cohere",
    )
    used = [model.invoke("Hello", **kwargs) for kwargs in ({}, {"model": "tools"}, {"max_tokens": 4})]
    used.append(model.bind_tools([TOOL]).invoke("Hello"))
    names = [answer.response_metadata["llmdispatch"]["deployment"] for answer in used]
    assert names == [COHERE, "acme:acme-1", "acme:acme-2", "acme:acme-1"]
    assert server.requests[-1].headers["authorization"] == "Bearer acme-own"
    with pytest.raises(ValueError, match=r"vendors: vendor 'acne'.*Did you mean 'acme'"):
        router(server, vendors={"acne": {}})


def test_it_is_found_by_its_entry_point(
    server: LoopbackServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package that names it needs no code at the user's: the name alone works, also in a file."""
    info = tmp_path / "acme_llm-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-llm\nVersion: 1.0\n")
    lines = ["[langchain_llmdispatch.vendors]", f"acme = {__name__}:AcmeVendor", ""]
    (info / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    config = {"models": ["acme:acme-1"], "routing_rules": [{"vendor": "acme", "priority": 1}]}
    env = {"ACME_API_KEY": "acme-key-1234", "ACME_URL": server.base_url("ollama")}
    model = DispatcherChatModel.from_config(config, env=env)
    assert model.invoke("Hello").response_metadata["llmdispatch"]["vendor"] == "acme"


def test_it_may_be_registered_later(server: LoopbackServer) -> None:
    """Then calls may name it."""
    model = router(server, models=[COHERE], custom_vendors=())
    with pytest.raises(errors.ConfigurationError, match="acme"):
        model.get_vendor("acme")
    model.register_vendor(AcmeVendor())
    assert "Hello" in model.invoke("Hello", model="acme-ai:acme-1").text


def test_tools_history_and_its_own_parameter_rules(server: LoopbackServer) -> None:
    """Everything that is compiled for a vendor is compiled for this one: by the data in its class."""
    model = router(server).bind_tools([TOOL])
    question = HumanMessage("What is magic_function(3)? Use the tool.")
    keywords = {"model": "acme:acme-1", "temperature": 0.5, "top_p": 0.1, "stop": ["a", "b"]}
    call = model.invoke([question], **keywords)
    adapted = [change["kind"] for change in call.response_metadata["llmdispatch"]["adapted"]]
    assert adapted == ["top_p_dropped", "stop_adapted"]
    assert server.requests[-1].body["options"] == {"temperature": 0.5, "stop": ["a"]}
    result = ToolMessage("42", tool_call_id=call.tool_calls[0]["id"])
    # Begun here, finished at the other vendor, and the other way round.
    assert "42" in model.invoke([question, call, result], model=COHERE).text
    call = model.invoke([question], model=COHERE)
    result = ToolMessage("42", tool_call_id=call.tool_calls[0]["id"])
    assert "42" in model.invoke([question, call, result], model="acme:acme-1").text


def test_its_own_tool_names_schemas_and_facts(server: LoopbackServer) -> None:
    """Tools are named and described as it takes them; what its models cannot do is requested in words."""
    model = router(server).bind_tools([RICH_TOOL], tool_choice="magic-function/v2")
    call = model.invoke("What is magic_function(3)? Use the tool.", model="acme:acme-1")
    function = server.requests[-1].body["tools"][0]["function"]
    assert re.fullmatch("magic__[0-9a-f]{8}", function["name"])
    assert function["parameters"] == {
        "type": "object",
        "properties": {"input": {"type": "integer"}},
        "required": ["input"],
    }
    assert call.tool_calls[0]["name"] == "magic-function/v2"
    adapted = [change["kind"] for change in call.response_metadata["llmdispatch"]["adapted"]]
    assert adapted == [
        "tool_choice_relaxed",
        "schema_keywords_dropped",
        "schema_closed",
        "tool_names_changed",
    ]
    assert "You must call the tool magic-function/v2" in server.requests[-1].body["messages"][0]["content"]


def test_its_own_prices(server: LoopbackServer) -> None:
    """Of its seller, under the model's plain name; free where it is; unknown where the price is."""
    model = router(server)

    def cost(name: str) -> Any:
        return model.invoke("Hello", model=name).response_metadata["llmdispatch"]

    listed = cost("acme:acme-hosted/llama-3.3-70b-versatile")
    assert listed["price_source"].startswith("genai-prices ")
    assert Decimal(listed["cost_usd"]) > 0
    free, unknown = cost("acme:acme-tiny"), cost("acme:acme-1")
    assert (free["cost_usd"], free["price_source"]) == ("0", "local")
    assert (unknown["cost_usd"], unknown["price_source"]) == (None, None)


def test_errors_retries_and_broken_streams(server: LoopbackServer) -> None:
    """The engine retries, and refuses half an answer."""
    model = router(server)
    server.script("ollama", [Fault.error("rate_limit"), Fault.error("server_error")])
    answer = model.invoke("Hello", model="acme:acme-1")
    attempts = answer.response_metadata["llmdispatch"]["attempts"]
    assert [a["error"] for a in attempts] == ["RateLimitError", "ServerError", None]
    server.script("ollama", [Fault.no_end_marker()])
    with pytest.raises(StreamInterruptedError):
        list(model.stream("Hello", model="acme:acme-1"))


def test_it_belongs_to_one_model_only(server: LoopbackServer) -> None:
    """Handing it in changes no global state."""
    router(server)
    other = DispatcherChatModel(model="ollama:llama3.1", env={})
    with pytest.raises(errors.ConfigurationError, match="acme"):
        other.get_vendor("acme")


def test_a_built_in_vendor_may_be_replaced(server: LoopbackServer) -> None:
    """The same name, another codec; deployments that exist already use the new one."""

    class Loud(type(DispatcherChatModel(model="ollama:x", env={}).get_vendor("ollama"))):
        def decode_response(self, call: Call, body: bytes, headers: Mapping[str, str]) -> AIMessage:
            message = super().decode_response(call, body, headers)
            return message.model_copy(update={"content": message.text.upper()})

    model = DispatcherChatModel(model="ollama:llama3.1", base_url=server.base_url("ollama"), env={})
    model.register_vendor(Loud())
    assert model.invoke("Hello").text.isupper()


class ParrotVendor(AcmeVendor):
    """Answers by itself, without HTTP."""

    name = "parrot"
    aliases = ()
    model_names = ()
    needs_key = False
    base_url = "http://localhost"
    runs = True

    def generate(self, call: Call, timeout: float | None) -> AIMessage:
        """Say it again."""
        if call.messages[-1].text == "fail":
            raise errors.ServerError("no")
        metadata = {"model_provider": "parrot", "model_name": call.model, "finish_reason": "stop"}
        return AIMessage(call.messages[-1].text, response_metadata=metadata)

    async def agenerate(self, call: Call, timeout: float | None) -> AIMessage:
        """Say it again."""
        return self.generate(call, timeout)

    def stream(self, call: Call, timeout: float | None) -> Generator[bytes, None, None]:
        """Say it in lines."""
        reply = self.generate(call, timeout).text
        counts = {"prompt_eval_count": 1, "eval_count": 1, "done_reason": "stop", "model": call.model}
        yield json.dumps({"message": {"content": reply}, "done": False}).encode() + b"\n"
        yield json.dumps({"message": {"content": ""}, "done": True, **counts}).encode() + b"\n"

    async def astream(
        self,
        call: Call,
        timeout: float | None,
    ) -> AsyncGenerator[bytes, None]:
        """Say it in lines."""
        for line in self.stream(call, timeout):
            yield line


def test_a_vendor_may_answer_by_itself(server: LoopbackServer) -> None:
    """In all four ways, with the engine's retries around it."""
    model = router(server, models=["parrot:grey"], custom_vendors=[ParrotVendor()])

    async def stream() -> str:
        return "".join([chunk.text async for chunk in model.astream("Hi", model="parrot:grey")])

    reply = [
        model.invoke("Hi", model="parrot:grey").text,
        asyncio.run(model.ainvoke("Hi", model="parrot:grey")).text,
        "".join(chunk.text for chunk in model.stream("Hi", model="parrot:grey")),
        asyncio.run(stream()),
    ]
    assert reply == ["Hi"] * 4
    assert not server.requests
    with pytest.raises(errors.AllDeploymentsFailedError) as caught:
        model.invoke("fail", model="parrot:grey")
    assert len(caught.value.attempts) == 3
