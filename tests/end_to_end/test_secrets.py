"""A key reaches its own vendor's host and nothing else that a person or a program may see."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import pickle
import traceback
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumps

from langchain_llmdispatch import Deployment, DispatcherChatModel, RetryPolicy, VendorConfig
from tests.cases import each
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import MODELS, VENDORS, model_of

CANARY = "canary-0123456789abcdef-key"


def _deployment(server: LoopbackServer, vendor: str, account: str = "") -> Deployment:
    return Deployment(
        f"{vendor}:{MODELS[vendor]}",
        name=account or vendor,
        base_url=server.base_url(vendor, account),
        api_key=CANARY,
        headers={"x-extra": CANARY},
    )


class _Listener(BaseCallbackHandler):
    """Keeps everything that callbacks receive."""

    def __init__(self) -> None:
        self.received: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("on_"):
            return lambda *args, **kwargs: self.received.append(f"{name} {args!r} {kwargs!r}")
        return super().__getattribute__(name)


def _chain(error: BaseException) -> str:
    seen, texts = error, []
    while seen is not None:
        texts += [repr(seen), str(seen), repr(vars(seen)), "".join(traceback.format_exception(seen))]
        texts += [repr(getattr(inner, "__dict__", "")) for inner in getattr(seen, "errors", ())]
        assert type(seen).__module__.partition(".")[0] not in {"httpx", "httpcore"}
        seen = seen.__cause__ or seen.__context__
    return " ".join(texts)


@pytest.mark.parametrize("vendor", VENDORS)
def test_the_key_is_in_the_request_and_nowhere_else(
    server: LoopbackServer, vendor: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither repr, dumps, dicts, callbacks, metadata nor logs hold it; it is in no URL."""
    caplog.set_level(logging.DEBUG)
    listener = _Listener()
    with model_of(_deployment(server, vendor)) as model:
        message = model.invoke("hello", config={"callbacks": [listener]})
        list(model.stream("hello", config={"callbacks": [listener]}))
        shown = [repr(model), str(model), dumps(model), repr(model.asdict()), repr(model.model_dump())]
        shown += [
            model.model_dump_json(exclude={"retry_policy"}),
            repr(vars(model)),
            repr(model._identifying_params),
        ]
        shown += [message.model_dump_json(), repr(model._get_llm_string())]
    assert CANARY in json.dumps([received.headers for received in server.requests])
    assert CANARY not in "".join(received.path for received in server.requests)
    everything = " ".join([*shown, *listener.received, *(r.getMessage() for r in caplog.records)])
    assert CANARY not in everything


@pytest.mark.parametrize("vendor", VENDORS)
@each("fault", [Fault.error("auth"), Fault.reset(), Fault.error("invalid_request")])
@pytest.mark.parametrize("colour", ["sync", "async"])
def test_no_exception_holds_the_key(server: LoopbackServer, vendor: str, fault: Fault, colour: str) -> None:
    """Neither the error, its causes nor its attributes hold a key or an httpx object."""
    server.script(vendor, [fault], account="a", repeat=True)
    with model_of(_deployment(server, vendor, "a"), retry_policy=RetryPolicy(max_retries=0)) as model:
        with pytest.raises(Exception) as raised:  # noqa: PT011 - whatever it is
            asyncio.run(model.ainvoke("hello")) if colour == "async" else model.invoke("hello")
    assert CANARY not in _chain(raised.value)
    assert CANARY not in _chain(pickle.loads(pickle.dumps(raised.value)))


def test_a_key_echoed_by_the_vendor_is_redacted(server: LoopbackServer) -> None:
    """Error texts that quote the key lose it."""
    body = {
        "error": {"message": f"Incorrect API key provided: {CANARY}", "type": "x", "code": "invalid_api_key"}
    }
    server.script("openai", [Fault(status=401, body=body)], account="a")
    with model_of(_deployment(server, "openai", "a")) as model:
        with pytest.raises(Exception, match="redacted") as raised:
            model.invoke("hello")
    assert CANARY not in _chain(raised.value)


def test_pickles_hold_no_key_and_still_work(server: LoopbackServer) -> None:
    """A pickled model takes its keys from the environment again."""
    url = server.base_url("openai")
    model = DispatcherChatModel(
        model="openai:gpt-5.4-mini",
        temperature=None,
        max_tokens=50,
        vendors={"openai": VendorConfig(base_url=url, api_key=CANARY)},
        env={"OPENAI_API_KEY": CANARY},
    )
    data = pickle.dumps(model)
    assert CANARY.encode() not in data


def test_validation_errors_do_not_repeat_input() -> None:
    """A wrong field's error names the field, not the values beside it."""
    with pytest.raises(ValueError, match="max_tokens") as raised:
        DispatcherChatModel(model="openai:gpt-6-luna", api_key=CANARY, max_tokens="many", env={})
    assert CANARY not in str(raised.value)


def test_a_key_from_the_environment_stays_with_its_host() -> None:
    """A deployment's own base_url does not get the vendor's key."""
    with pytest.raises(ValueError, match="not sent to"):
        DispatcherChatModel(
            models=[Deployment("openai:gpt-6-luna", base_url="https://elsewhere.example/v1")],
            env={"OPENAI_API_KEY": CANARY},
        )


def test_redirects_are_not_followed(server: LoopbackServer) -> None:
    """A 307 is an error, and the key is sent once."""
    headers = {"location": f"{server.url}/@b/openai/v1/chat/completions"}
    server.script("openai", [Fault(status=307, headers=headers, body={})], account="a")
    with model_of(_deployment(server, "openai", "a"), retry_policy=RetryPolicy(max_retries=0)) as model:
        with pytest.raises(Exception, match="redirect"):
            model.invoke("hello")
    assert len(server.requests) == 1


def test_a_copied_model_works(server: LoopbackServer) -> None:
    """Copies, deep ones too, are models of their own."""
    model = model_of(_deployment(server, "openai"))
    for twin in (copy.copy(model), copy.deepcopy(model), model.model_copy(update={"max_tokens": 7})):
        assert twin.invoke("hello").text
    assert server.requests[-1].body["max_completion_tokens"] == 7
