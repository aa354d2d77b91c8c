"""Credentials in words (tokens of MCP servers, headers) reach their vendor, and nothing that is shown."""

from __future__ import annotations

import asyncio
import logging
import pickle
import traceback
from typing import Any

import pytest
from langchain_core.load import dumps
from pydantic import SecretStr

from langchain_llmdispatch import DispatcherChatModel, errors
from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.testing import Cassette
from tests.cases import each
from tests.end_to_end.test_secrets import _chain, _Listener
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of

CANARY = "canary-9876543210fedcba"
MCP = {"type": "url", "name": "m", "url": "https://mcp.example", "authorization_token": CANARY}
TOOL = {"type": "mcp", "server_label": "m", "server_url": "https://m.example", "authorization": CANARY}
WORDS: dict[str, dict[str, Any]] = {
    "a token in a word": {"mcp_servers": [MCP]},
    "headers of a call": {"extra_headers": {"x-plain": CANARY}},
    "a field of the body": {"extra_body": {"mcp_servers": [MCP]}},
    "the query": {"extra_query": {"access_token": CANARY}},
    "a scoped word": {"vendor_params": {"anthropic": {"mcp_servers": [MCP]}}},
}


def received(server: LoopbackServer, vendor: str) -> str:
    """Return all that a vendor has received."""
    return " ".join(
        f"{each.path} {each.query} {each.headers} {each.body}" for each in server.requests_to(vendor)
    )


def shown(model: DispatcherChatModel) -> str:
    """Return what people and programs may see of a model."""
    texts = [
        repr(model),
        str(model),
        dumps(model),
        repr(model.asdict()),
        repr(model.model_dump()),
        repr(vars(model)),
    ]
    return " ".join(
        [
            *texts,
            repr(model._identifying_params),
            repr(pickle.dumps(model.model_copy(update={"clock": Clock(), "shared_state": None}))),
            repr(model.explain("hi")),
        ]
    )


@pytest.mark.parametrize("way", ["keyword", "bound", "model"])
@pytest.mark.parametrize("words", WORDS.values(), ids=list(WORDS))
def test_a_credential_in_a_word_goes_to_its_vendor_alone(
    words: dict[str, Any], way: str, server: LoopbackServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Not to the one that answers instead; nor into repr, dumps, pickles, traces, logs and errors."""
    caplog.set_level(logging.DEBUG)
    echo = {"type": "error", "error": {"type": "api_error", "message": f"no such token: {CANARY}"}}
    server.script("anthropic", [Fault(status=500, body=echo)], repeat=True)
    listener, run = _Listener(), {"callbacks": []}
    run["callbacks"].append(listener)
    scoped = words.get("vendor_params")
    own = {"vendor_params": scoped} if scoped else {"model_kwargs": words}
    targets = (deployment(server, "anthropic"), deployment(server, "openai"))
    with model_of(*targets, max_retries=0, **(own if way == "model" else {})) as model:
        runnable = model.bind(**words) if way == "bound" else model
        call = words if way == "keyword" else {}
        runnable.invoke("hello", run, **call)
        asyncio.run(runnable.ainvoke("hello", run, **call))
        list(runnable.stream("hello", run, **call))
        server.script("openai", [Fault(status=500)], repeat=True)
        with pytest.raises(errors.AllDeploymentsFailedError) as caught:
            runnable.invoke("hello", run, **call)
        text = shown(model)
    assert CANARY in received(server, "anthropic")
    assert CANARY not in received(server, "openai")
    everything = " ".join([text, *listener.received, _chain(caught.value), caplog.text])
    assert CANARY not in everything


def test_a_deployments_credentials_are_its_own(server: LoopbackServer) -> None:
    """In `params` and `query`; pickles leave them out."""
    own = {"params": {"mcp_servers": [MCP]}, "query": {"key": CANARY}, "default_headers": {"x-a": CANARY}}
    with model_of(deployment(server, "anthropic", **own), deployment(server, "openai")) as model:
        model.invoke("hello")
        model.invoke("hello", model="openai")
        assert CANARY not in shown(model)
        assert repr(model.models[0]).count(CANARY) == 0
        twin = pickle.loads(pickle.dumps(model.models[0]))
    assert twin.params == {"mcp_servers": [{name: MCP[name] for name in ("type", "name", "url")}]}
    assert received(server, "anthropic").count(CANARY) == 3
    assert CANARY not in received(server, "openai")


def test_a_token_in_a_tool_is_in_no_trace(server: LoopbackServer) -> None:
    """Two calls with two tokens still have two keys in a cache."""
    listener = _Listener()
    with model_of(deployment(server, "openai")) as model:
        model.invoke("hello", {"callbacks": [listener]}, tools=[TOOL])
        assert CANARY in received(server, "openai")
        assert CANARY not in " ".join(listener.received)
        keys = {model._get_llm_string(tools=[{**TOOL, "authorization": token}]) for token in ("a-1", "b-2")}
    assert len(keys) == 2


def test_a_cassette_holds_no_credential_of_a_word(server: LoopbackServer, tmp_path: Any) -> None:
    """Neither of the body nor of the query; it replays with another token."""
    file = tmp_path / "words.yaml"
    words = {"mcp_servers": [MCP], "extra_query": {"access_token": CANARY}, "extra_headers": {"x-a": CANARY}}
    with Cassette(file, mode="rewrite"), model_of(deployment(server, "anthropic")) as model:
        model.invoke("hello", **words)
    assert CANARY not in file.read_text()


@each(
    ("vendor", "words"),
    [
        ("anthropic", {"mcp_servers": [{**MCP, "authorization_token": SecretStr(CANARY)}]}),
        ("openai", {"tools": [{**TOOL, "authorization": SecretStr(CANARY)}]}),
        ("openai", {"extra_headers": {"x-plain": SecretStr(CANARY)}}),
        ("openai", {"extra_query": {"access_token": SecretStr(CANARY)}}),
        ("openai", {"tools": [{"type": "mcp", "server_url": f"https://m.example/?api_key={CANARY}"}]}),
        ("openai", {"tools": [{"type": "mcp", "server_url": f"https://me:{CANARY}@m.example"}]}),
        ("openai", {"tools": [{"type": "file_search", "vector_store_ids": [CANARY]}]}),
        ("openai", {"tools": [{"type": "code_interpreter", "container": {"file_ids": [CANARY]}}]}),
    ],
)
@each("policy", ["adapt", "drop"])
def test_secret_values_and_ids_in_tools_reach_the_first_choice_alone(
    vendor: str, words: dict[str, Any], policy: str, server: LoopbackServer
) -> None:
    """A `SecretStr` as text; a token in an address as one in a field."""
    others = [each for each in ("anthropic", "openai", "azure", "google") if each != vendor]
    fleet = [deployment(server, each) for each in (vendor, *others)]
    server.script(vendor, [Fault.error("overloaded")], repeat=True)
    model = model_of(*fleet, unsupported_params=policy, max_retries=0, max_attempts=8)
    try:
        model.invoke("hi", **words)
    except errors.AllDeploymentsFailedError as error:
        assert CANARY not in str(error)
    assert CANARY in received(server, vendor)
    assert CANARY not in "".join(received(server, each) for each in others)


@each("query", ["key", "sig", "subscription-key", "code"])
def test_what_a_query_holds_is_not_repeated(server: LoopbackServer, query: str) -> None:
    """A vendor that echoes it in an error has no reader; of a deployment as of a call."""
    own = deployment(server, "compatible", query={query: CANARY})
    echo = Fault.error("auth", message=f"not allowed: {CANARY}")
    with model_of(own) as model, model_of(deployment(server, "compatible")) as plain:
        for chosen, words in ((model, {}), (plain, {"extra_query": {query: CANARY}})):
            server.script("compatible", [echo])
            with pytest.raises(errors.DispatchError) as raised:
                chosen.invoke("Hello", **words)
            assert CANARY not in repr([raised.value, *_chain(raised.value)])
            assert CANARY not in repr(chosen._get_invocation_params(**words))


@each("colour", ["invoke", "ainvoke", "stream"])
@each("words", WORDS.values())
def test_frames_show_no_credential_of_a_word(
    server: LoopbackServer, colour: str, words: dict[str, Any]
) -> None:
    """Error reporters show the variables of each frame, LangChain's too: those of a call that fails hold none."""
    server.script("openai", [Fault.error("auth")])
    with model_of(deployment(server, "openai")) as model:
        try:
            if colour == "ainvoke":
                asyncio.run(model.ainvoke("Hello", **words))
            elif colour == "stream":
                list(model.stream("Hello", **words))
            else:
                model.invoke("Hello", **words)
        except errors.DispatchError as error:
            shown = [
                repr(frame.f_locals)
                for frame, _ in traceback.walk_tb(error.__traceback__)
                if frame.f_globals["__name__"].startswith(("langchain_llmdispatch", "langchain_core"))
            ]
            assert shown
            assert CANARY not in "".join(shown)
        else:
            pytest.fail("it did not raise")


def test_frames_of_a_refused_construction_show_no_credential() -> None:
    """Neither of the field that is wrong, nor of another one."""
    for fields in ({"base_url": f"http://u:{CANARY}@h.example"}, {"api_key": CANARY, "temprature": 1}):
        with pytest.raises(errors.ConfigurationError) as raised:
            DispatcherChatModel(model="openai:gpt-5.4", env={}, **fields)
        frames = [frame for frame, _ in traceback.walk_tb(raised.value.__traceback__)][1:]
        assert CANARY not in repr([frame.f_locals for frame in frames])
