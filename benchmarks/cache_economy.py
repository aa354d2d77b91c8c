"""What a warm prompt cache is worth: an agent of twenty turns, one outage, three vendors with their cache rules.

    python benchmarks/cache_economy.py

The same conversation under three policies, in virtual time, through the real engine and codecs: without caches;
with caches, but a router that does not see them (it shuffles, as most load balancers do); and with a thread that
stays where its cache is warm, moves when its vendor is down, and moves back only when that pays.

The vendors are simulated by what they document: Anthropic caches what is marked, for five minutes after the last
use, and bills writing at 1.25 (platform.claude.com, prompt caching); OpenAI caches prompts of 1,024 tokens and more
unasked, in steps of 128, for ten minutes (developers.openai.com, prompt caching); Gemini from 2,048 tokens on, for
five minutes (ai.google.dev, context caching). Prices are the catalog's, as of 2026-11-28.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import httpx
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

from langchain_llmdispatch import Deployment, DispatcherChatModel, RetryPolicy, VendorConfig
from langchain_llmdispatch.testing import FakeClock

TURNS, OUTAGE = 20, range(8, 11)
MODELS = {"anthropic": "claude-sonnet-4-5", "openai": "gpt-5.4", "google": "gemini-3.1-pro-preview"}
TODAY = datetime(2026, 11, 28, 12, tzinfo=UTC)
_SYSTEM = "You are a careful agent. " * 4000  # about 25,000 tokens, as coding agents have
_ANSWER = "I looked it up and found this. " * 20  # about 155 tokens
_BETWEEN = 60.0  # seconds between two turns, in which tools run


class Rules(NamedTuple):
    """One vendor's documented cache rules.

    Attributes:
        least: Tokens of the shortest prompt that is cached.
        step: Tokens by which a cached prefix grows.
        lasts: Seconds after the last use.
        marked: Whether only what the request marks is cached.
    """

    least: int
    step: int
    lasts: float
    marked: bool


RULES = {
    "anthropic": Rules(1024, 1, 300.0, marked=True),
    "openai": Rules(1024, 128, 600.0, marked=False),
    "google": Rules(2048, 1, 300.0, marked=False),
}


class SimulatedVendor:
    """A vendor that answers, counts, and caches by its rules.

    Args:
        name: The vendor's name.
        clock: The source of time.
        caches: Whether it caches at all.

    Attributes:
        down: Whether it answers with 503.
    """

    def __init__(self, name: str, clock: FakeClock, *, caches: bool) -> None:
        self.name, self.rules, self.down = name, RULES[name], False
        self._clock, self._caches = clock, caches
        self._held: dict[str, float] = {}  # digest of a prefix -> until when it is held

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        if self.down:
            return httpx.Response(503, json={"error": {"message": "down"}})
        body = json.loads(request.content)
        marked = "cache_control" in request.content.decode()
        read, cached = self._count(_parts(body), marked or not self.rules.marked)
        return httpx.Response(200, json=_ANSWERS[self.name](read, cached, marked))

    def _count(self, parts: list[str], applies: bool) -> tuple[int, int]:
        """Return the tokens of a prompt, and those of them that the cache holds; keep the prompt."""
        now, digest, total, cached = self._clock.monotonic(), hashlib.sha256(), 0, 0
        keys = []
        for part in parts:
            digest.update(part.encode())
            total += len(part) // 4
            keys.append(digest.hexdigest())
            if self._held.get(keys[-1], -1.0) > now:
                cached = total
        if not (self._caches and applies) or total < self.rules.least:
            return total, 0
        self._held |= dict.fromkeys(keys, now + self.rules.lasts)
        return total, cached // self.rules.step * self.rules.step


def _parts(body: dict[str, Any]) -> list[str]:
    """Return the texts of a prompt in order: system, then messages."""
    system = body.get("system") or body.get("systemInstruction") or ""
    turns = body.get("messages") or body.get("contents") or []
    return [_text(system), *(_text(turn.get("content") or turn.get("parts")) for turn in turns)]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return _text(value.get("text") or value.get("parts") or "")
    return "".join(_text(each) for each in value or ())


def _anthropic(read: int, cached: int, marked: bool) -> dict[str, Any]:
    written = read - cached if marked else 0
    usage = {"cache_read_input_tokens": cached, "cache_creation_input_tokens": written}
    counts = {"input_tokens": read - cached - written, "output_tokens": len(_ANSWER) // 4, **usage}
    text = [{"type": "text", "text": _ANSWER}]
    head = {"id": "m", "type": "message", "role": "assistant", "model": MODELS["anthropic"]}
    return {**head, "content": text, "stop_reason": "end_turn", "usage": counts}


def _openai(read: int, cached: int, _: bool) -> dict[str, Any]:
    message = {"role": "assistant", "content": _ANSWER}
    counts = {"prompt_tokens": read, "completion_tokens": len(_ANSWER) // 4}
    usage = {
        **counts,
        "total_tokens": sum(counts.values()),
        "prompt_tokens_details": {"cached_tokens": cached},
    }
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return {
        "id": "c",
        "object": "chat.completion",
        "model": MODELS["openai"],
        "choices": choices,
        "usage": usage,
    }


def _google(read: int, cached: int, _: bool) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": [{"text": _ANSWER}]}, "finishReason": "STOP"}
    counts = {
        "promptTokenCount": read,
        "candidatesTokenCount": len(_ANSWER) // 4,
        "cachedContentTokenCount": cached,
    }
    return {"candidates": [candidate], "modelVersion": MODELS["google"], "usageMetadata": counts}


_ANSWERS: dict[str, Callable[[int, int, bool], dict[str, Any]]] = {
    "anthropic": _anthropic,
    "openai": _openai,
    "google": _google,
}


class Outcome(NamedTuple):
    """What a policy cost.

    Attributes:
        usd: Dollars of all answers.
        vendors: The vendor of each turn.
        misses: The cause of each cache miss that was named.
    """

    usd: Decimal
    vendors: list[str]
    misses: list[str]


def run(*, caches: bool, threaded: bool, seed: int = 1, **fields: Any) -> Outcome:
    """Return what the conversation costs under one policy.

    Args:
        caches: Whether the vendors cache.
        threaded: Whether the calls name their thread.
        seed: The seed of the router's choices.
        fields: Further fields of the model.
    """
    clock = FakeClock(date=TODAY)
    vendors = {name: SimulatedVendor(name, clock, caches=caches) for name in MODELS}
    configs = {
        name: VendorConfig(api_key="key", http_client=httpx.Client(transport=httpx.MockTransport(vendor)))
        for name, vendor in vendors.items()
    }
    model = DispatcherChatModel(
        models=[Deployment(f"{name}:{model}", name=name) for name, model in MODELS.items()],
        vendors=configs,
        env={},
        clock=clock,
        rng=random.Random(seed),
        retry_policy=RetryPolicy(max_retries=0, jitter=False),
        max_tokens=500,
        **fields,
    )
    config: Any = {"configurable": {"thread_id": "agent"}} if threaded else None
    history: list[BaseMessage] = [SystemMessage(_SYSTEM)]
    used: list[str] = []
    misses: list[str] = []
    spent, failing = Decimal(0), ""
    for turn in range(TURNS):
        if turn in {OUTAGE.start, OUTAGE.stop}:  # the vendor that serves the thread goes down, and comes back
            failing = used[-1] if turn == OUTAGE.start else failing
            vendors[failing].down = turn == OUTAGE.start
        history.append(HumanMessage(f"Step {turn}: " + "look at this result. " * 150))  # about 800 tokens
        answer = model.invoke(history, config)
        history.append(answer)
        facts = answer.response_metadata["llmdispatch"]
        spent += Decimal(facts["cost_usd"])
        used.append(facts["vendor"])
        misses += [facts["cache_miss"]["cause"]] if "cache_miss" in facts else []
        clock.advance(_BETWEEN)
    return Outcome(spent, used, misses)


def outcomes(seeds: int = 5) -> dict[str, Outcome]:
    """Return what each policy cost; what is shuffled, on average over so many seeds."""
    shuffled = [
        run(caches=True, threaded=False, seed=seed, strategy="weighted", prompt_cache=True)
        for seed in range(seeds)
    ]
    mean = sum((one.usd for one in shuffled), Decimal(0)) / seeds
    return {
        "without caches": run(caches=False, threaded=False, strategy="lowest_cost"),
        "shuffled, blind to caches": shuffled[0]._replace(usd=mean),
        "stays where it is warm": run(caches=True, threaded=True, strategy="lowest_cost", prompt_cache=True),
    }


def main() -> None:
    """Print the table."""
    found = outcomes()
    most = found["without caches"].usd
    print(f"{'policy':<28}{'dollars':>10}{'share':>8}  vendors by turn, named misses")
    for name, (usd, vendors, misses) in found.items():
        letters = "".join(vendor[0] for vendor in vendors)
        print(f"{name:<28}{usd:>10.4f}{usd / most:>8.2f}  {letters} {', '.join(misses)}")


if __name__ == "__main__":
    main()
