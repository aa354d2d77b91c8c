"""What the testing kit adds to a call: cassettes (replay and record), faults, and how fast policies replay.

    python benchmarks/replay_overhead.py

Everything runs in one process; the "no kit" row is the same call against a middleware that responds at once, so that
the rest is the kit's own. Medians of several rounds, in microseconds of CPU a call, with the rounds' spread.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).parents[1]))

from langchain_llmdispatch import Deployment, DispatcherChatModel
from langchain_llmdispatch.testing import Cassette, Faults, replay
from langchain_llmdispatch.testing.middleware import installed
from langchain_llmdispatch.testing.policy_replay.entry import JournalAttempt, JournalEntry
from langchain_llmdispatch.transport.middleware import Flow

ROUNDS, CALLS = 7, 200
BODY = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-5.4-mini","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"Paris is the capital of France."},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":20,"completion_tokens":8,"total_tokens":28}}'
)
QUESTION = "What is the capital of France? " * 8


class Responding:
    """A middleware that responds at once."""

    depth = 95
    replays = True

    def flow(self, *_: Any) -> Flow:
        """Answer."""
        yield from ()
        return httpx.Response(
            200, headers={"content-type": "application/json"}, stream=httpx.ByteStream(BODY)
        )


def main() -> None:
    """Measure and print."""
    model = DispatcherChatModel(models=[Deployment("openai:gpt-5.4-mini", api_key="benchmark-key")], env={})
    with tempfile.TemporaryDirectory() as folder, installed(Responding()):
        one, many = Path(folder) / "one.yaml", Path(folder) / "many.yaml"
        questions = [f"{QUESTION}{number}" for number in range(CALLS)]
        with Cassette(one, mode="rewrite", environment={}):
            model.invoke(questions[0])
        with Cassette(many, mode="rewrite", environment={}):
            for question in questions:
                model.invoke(question)
        same = questions[:1] * CALLS
        rows: dict[str, tuple[Callable[[], AbstractContextManager[Any]], list[str]]] = {
            "no kit": (nullcontext, same),
            "faults, none of them due": (_faults, same),
            "replay from a cassette of 1": (lambda: Cassette(one, repeats=True, environment={}), same),
            f"replay from a cassette of {CALLS}": (lambda: Cassette(many, environment={}), questions),
            "record": (
                lambda: Cassette(Path(folder) / "new.yaml", mode="rewrite", environment={}),
                questions,
            ),
        }
        floor = None
        for name, (context, prompts) in rows.items():
            middle, spread = _measure(model, context, prompts)
            floor = floor or middle
            print(f"{name:34} {middle:8.0f} us a call (+{middle - floor:.0f})   rounds {spread}")
        print(f"{'putting a cassette in and out':34} {_in_and_out(one):8.0f} us")
    _policies()


def _faults() -> AbstractContextManager[Any]:
    faults = Faults(strict=False)
    faults.fail("anthropic:*", status=500)
    return faults


def _measure(
    model: DispatcherChatModel, context: Callable[[], AbstractContextManager[Any]], prompts: list[str]
) -> tuple[float, str]:
    times = []
    for _ in range(ROUNDS):
        with ExitStack() as stack:
            stack.enter_context(context())
            began = time.process_time()
            for prompt in prompts:
                model.invoke(prompt)
            times.append((time.process_time() - began) / len(prompts) * 1e6)
    return statistics.median(times), f"{min(times):.0f} to {max(times):.0f}"


def _in_and_out(path: Path) -> float:
    times = []
    for _ in range(20):
        began = time.process_time()
        with Cassette(path):
            pass
        times.append((time.process_time() - began) * 1e6)
    return statistics.median(times)


def _policies() -> None:
    name, vendor, model = "openai:gpt-5.4-mini", "openai", "gpt-5.4-mini"
    attempts = [JournalAttempt(name, vendor, model, status=200, latency_s=1.0, cost_usd="0.001")]
    entries = [
        JournalEntry(1.79e9 + n, 1.0, "answered", attempts, input_tokens=500, output_tokens=100)
        for n in range(1000)
    ]
    began = time.process_time()
    replay(entries, {"models": [name, "anthropic:claude-haiku-4-5"]})
    seconds = time.process_time() - began
    print(f"{'replay of a policy':34} {seconds * 1000:8.0f} us a call ({1000 / seconds:.0f} calls a second)")


if __name__ == "__main__":
    main()
