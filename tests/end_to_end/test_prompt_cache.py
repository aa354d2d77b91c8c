"""`prompt_cache`: what each vendor gets of it, and what an agent of twenty turns saves."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from langchain.agents import create_agent
from langchain_core.tools import tool

from langchain_llmdispatch import Deployment, DispatcherChatModel, VendorConfig, errors
from tests.cases import each
from tests.loopback.server import LoopbackServer
from tests.models import MODELS, VENDORS, model_of

TURNS = 20
SYSTEM = "You answer from the manual. " + "The manual has many pages. " * 300
Body = dict[str, Any]


@tool
def look_up(page: int) -> str:
    """Look a page of the manual up."""
    return f"Page {page} of the manual says: " + "a line of it. " * 12


def tokens(part: Any) -> int:
    """Return the tokens of a part of a prompt."""
    return len(json.dumps(part, sort_keys=True)) // 4


def bare(part: Any) -> Any:
    """Return a part of a prompt without marks: they are no part of what is cached."""
    if isinstance(part, list):
        return [bare(one) for one in part]
    if isinstance(part, dict):
        return {name: bare(value) for name, value in part.items() if name != "cache_control"}
    return part


class Caching:
    """A vendor with a cache; what it reads from there is as the vendor documents it.

    Attributes:
        read: Tokens read from the cache.
        total: Tokens of all prompts.
        bodies: The requests.
    """

    def __init__(self) -> None:
        self.read = self.total = 0
        self.bodies: list[Body] = []
        self._known: set[str] = set()

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        body = json.loads(request.content)
        self.bodies.append(body)
        parts, marked = self.parts(body)
        sizes = [tokens(part) for part in parts]
        keys = [json.dumps([self.key(body), parts[: n + 1]], sort_keys=True) for n in range(len(parts))]
        ends = [n for n in range(len(parts)) if n in marked and sum(sizes[: n + 1]) >= 1024]
        found = [m for n in ends for m in range(max(0, n - 20), n + 1) if keys[m] in self._known]
        read = sum(sizes[: max(found) + 1]) if found else 0
        self._known.update(keys[n] for n in ends)
        self.read, self.total = self.read + read, self.total + sum(sizes)
        return self.reply(len(self.bodies), sum(sizes), read)

    def key(self, body: Body) -> Any:
        """Return what a cache belongs to besides its prompt."""

    def parts(self, body: Body) -> tuple[list[Any], set[int]]:
        """Return the prompt's parts in the order in which they are cached, and where it may be cached."""
        raise NotImplementedError

    def reply(self, number: int, total: int, read: int) -> httpx.Response:
        """Return the answer."""
        raise NotImplementedError


class Anthropic(Caching):
    """Caches up to each mark."""

    def parts(self, body: Body) -> tuple[list[Any], set[int]]:
        """Return tools, system message and turns, block by block."""
        contents = [body.get("tools"), body.get("system"), *(turn["content"] for turn in body["messages"])]
        blocks = [b for c in contents for b in (c if isinstance(c, list) else [c] if c else [])]
        marks = {n for n, block in enumerate(blocks) if isinstance(block, dict) and "cache_control" in block}
        assert len(marks) <= 4
        return bare(blocks), marks

    def reply(self, number: int, total: int, read: int) -> httpx.Response:
        """Return a call, or the end."""
        call = {"type": "tool_use", "id": f"t{number}", "name": "look_up", "input": {"page": number}}
        last = number >= TURNS
        usage = {"input_tokens": total - read, "cache_read_input_tokens": read, "output_tokens": 9}
        return httpx.Response(
            200,
            json={
                "id": "m", "type": "message", "role": "assistant", "model": "claude-haiku-4-5",
                "content": [{"type": "text", "text": "done"}] if last else [call],
                "stop_reason": "end_turn" if last else "tool_use", "usage": usage,
            },
        )  # fmt: skip


class OpenAI(Caching):
    """Caches every prompt from 1,024 tokens on, for requests of one key."""

    def key(self, body: Body) -> Any:
        """Return the key, without which requests reach any machine."""
        return body.get("prompt_cache_key") or len(self.bodies)

    def parts(self, body: Body) -> tuple[list[Any], set[int]]:
        """Return tools and messages."""
        parts = [*(body.get("tools") or ()), *body["messages"]]
        return parts, set(range(len(parts)))

    def reply(self, number: int, total: int, read: int) -> httpx.Response:
        """Return a call, or the end."""
        function = {"name": "look_up", "arguments": json.dumps({"page": number})}
        last = number >= TURNS
        call = {"tool_calls": [{"id": f"t{number}", "type": "function", "function": function}]}
        message = {"role": "assistant", "content": "done" if last else None, **({} if last else call)}
        usage = {"prompt_tokens": total, "completion_tokens": 9, "total_tokens": total + 9}
        usage["prompt_tokens_details"] = {"cached_tokens": read}
        choice = {"index": 0, "message": message, "finish_reason": "stop" if last else "tool_calls"}
        return httpx.Response(200, json={"id": "c", "model": "gpt-4.1", "choices": [choice], "usage": usage})


def dispatcher(vendor: Caching, target: Deployment, **fields: Any) -> DispatcherChatModel:
    """Return a model of one deployment."""
    config = VendorConfig(http_client=httpx.Client(transport=httpx.MockTransport(vendor.answer)), api_key="k")
    return model_of(target, vendors={target.model.partition(":")[0]: config}, **fields)


@pytest.mark.parametrize(
    ("make", "model"),
    [(Anthropic, "anthropic:claude-haiku-4-5"), (OpenAI, "openai:gpt-4.1"), (OpenAI, "azure:gpt-4.1")],
)
def test_an_agent_of_twenty_turns(make: type[Caching], model: str) -> None:
    """With one word nine tenths of what is read comes from the cache; without it, nothing."""
    target = Deployment(model, base_url="https://x.openai.azure.com" if "azure" in model else None)
    shares = []
    for cache in (True, None):
        vendor = make()
        with dispatcher(vendor, target, prompt_cache=cache) as chat:
            agent = create_agent(chat, tools=[look_up], system_prompt=SYSTEM)
            agent.invoke({"messages": [("human", "What does it say?")]}, {"recursion_limit": 100})
            assert chat.get_stats().cached_tokens == vendor.read
        assert len(vendor.bodies) == TURNS
        shares.append(vendor.read / vendor.total)
    assert shares[0] >= 0.9
    assert shares[1] == 0


def body_of(server: LoopbackServer, vendor: str, *args: Any, **fields: Any) -> Body:
    """Return the body of a request to a vendor."""
    where = {"base_url": server.base_url(vendor), "api_key": "key"}
    with model_of(
        Deployment(f"{vendor}:{MODELS[vendor]}", **where, **fields.pop("own", {})), **fields
    ) as chat:
        chat.invoke("hello" if not args else args[0], **(args[1] if len(args) > 1 else {}))
    body = server.requests[-1].body
    server.clear()
    return body


@pytest.mark.parametrize("vendor", VENDORS)
def test_each_vendor_gets_its_own_words(server: LoopbackServer, vendor: str) -> None:
    """As field, call keyword or of a deployment; vendors that cache by themselves get none, and no report."""
    plain = body_of(server, vendor)
    for given in ({"prompt_cache": True}, {"own": {"params": {"prompt_cache": True}}}):
        marked = body_of(server, vendor, **given)
        if vendor == "anthropic":
            mark = {"type": "ephemeral"}
            turn = {"role": "user", "content": [{"type": "text", "text": "hello", "cache_control": mark}]}
            assert marked == {**plain, "messages": [turn]}
        elif vendor in {"openai", "azure"}:
            assert len(marked.pop("prompt_cache_key")) == 32
            assert marked == plain
        else:
            assert marked == plain
    assert body_of(server, vendor, "hello", {"prompt_cache": True}) != plain or vendor not in {
        "anthropic", "openai", "azure",
    }  # fmt: skip
    assert body_of(server, vendor, "hello", {"prompt_cache": False}, prompt_cache=True) == plain


def test_the_report_says_nothing_of_it(server: LoopbackServer) -> None:
    """Nothing is lost where a vendor caches by itself."""
    with model_of(
        Deployment("google:gemini-2.5-flash", base_url=server.base_url("google"), api_key="k"),
        prompt_cache="1h",
    ) as chat:
        assert "adapted" not in chat.invoke("hello").response_metadata["llmdispatch"]


def test_the_key_is_that_of_the_beginning(server: LoopbackServer) -> None:
    """One system message, one key; a thread has its own, whatever its messages; the caller's own wins."""

    def key(messages: Any, **kwargs: Any) -> str:
        return str(body_of(server, "openai", messages, kwargs, prompt_cache=True)["prompt_cache_key"])

    first = key([("system", "be brief"), ("human", "one")])
    assert key([("system", "be brief"), ("human", "two"), ("ai", "x"), ("human", "three")]) == first
    assert key([("system", "be long"), ("human", "one")]) != first
    thread = {"config": {"configurable": {"thread_id": "t1"}}}
    assert key([("system", "be brief"), ("human", "one")], **thread) == key("other", **thread) != first
    assert key("hello", prompt_cache_key="mine") == "mine"


@each(
    ("model", "cache", "words"),
    [
        ("gpt-4.1", "1h", {"prompt_cache_retention": "24h"}),
        ("gpt-4.1", "5m", {}),
        ("gpt-5.6-sol", "1h", {}),
        ("gpt-5.6-sol", False, {"prompt_cache_options": {"mode": "explicit"}}),
        ("gpt-4.1", False, {}),
        ("gpt-4o", "1h", {}),
    ],
)
def test_lifetimes_of_openai(model: str, cache: Any, words: Any) -> None:
    """Where a model has a choice; a cache that is billed when it is written can be declined."""
    vendor = OpenAI()
    with dispatcher(vendor, Deployment(f"openai:{model}"), use_responses_api=False) as chat:
        chat.invoke("hello", prompt_cache=cache)
    sent = {name: value for name, value in vendor.bodies[0].items() if name.startswith("prompt_cache")}
    sent.pop("prompt_cache_key", None)
    assert sent == words


def test_wrong_values() -> None:
    """They are named wherever they are written."""
    for make in (
        lambda: model_of(prompt_cache="2h"),
        lambda: Deployment("openai:gpt-4.1", params={"prompt_cache": "2h"}),
        lambda: model_of(Deployment("openai:gpt-4.1", api_key="k")).invoke("hi", prompt_cache="2h"),
    ):
        with pytest.raises(errors.ConfigurationError, match="prompt_cache='2h'"):
            make()


def test_a_budget_counts_what_is_written() -> None:
    """Writing costs more than reading; the worst case holds it."""
    target = Deployment("anthropic:claude-haiku-4-5", api_key="k")
    with model_of(target) as chat:
        plain, cached = (chat.explain("hello", prompt_cache=cache).bound.usd for cache in (False, True))
    assert cached > plain
