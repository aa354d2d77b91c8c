"""FailoverBench 0.1's sixteen scenarios at full length: real time, a real server, sync and async.

    python benchmarks/failover_bench.py > benchmarks/results/failover_bench.txt

The suite runs the same scenarios in virtual time (`tests/end_to_end/test_failover_bench.py`). The settings are
those of the bench: resume on, ten seconds for the first token and between two, two seconds of patience with the
first choice. Takes about three minutes; it exits with 1 if a scenario fails.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from langchain_core.messages import AIMessage

from langchain_llmdispatch import DispatcherChatModel, errors
from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.testing import Faults
from tests.end_to_end.test_failover_bench import SCENARIOS, TEXT, P, S, bench
from tests.loopback.faults import Fault
from tests.loopback.neutral import Answer
from tests.loopback.server import LoopbackServer
from tests.models import COLOURS

TOLERANCE = 0.5  # seconds that a busy machine may add
Row = tuple[str, bool, float, str]


def main() -> int:
    """Run all scenarios in both colours at once, print the table, and return the exit status."""
    with ThreadPoolExecutor() as pool:
        columns = list(pool.map(lambda colour: list(rows(colour)), ("stream", "astream")))
    print(f"{'scenario':36} {'sync':>14} {'async':>14}   deployments tried (sync)")
    passed = 0
    for sync, asynchronous in zip(*columns, strict=True):
        print(f"{sync[0]:36} {_cell(sync):>14} {_cell(asynchronous):>14}   {sync[3]}")
        passed += sync[1] and asynchronous[1]
    total = len(columns[0])
    print(f"\n{passed} of {total} rows pass in both colours (16 scenarios; S08 has two rows)")
    return int(passed != total)


def _cell(row: Row) -> str:
    return f"{'pass' if row[1] else 'FAIL'} {row[2]:6.2f} s"


def rows(colour: str) -> Iterator[Row]:
    """Run the scenarios in one colour, in order, each on a server and a model of its own."""
    special: dict[str, Callable[[LoopbackServer, str], tuple[bool, str]]] = {
        "S11 no [DONE]": without_done,
        "S13 content filter": content_filter,
        "S14 mixed prefill": mixed_prefill,
        "S15 flapping for a minute": flapping,
    }
    for name in sorted([*SCENARIOS, *special]):
        run = special.get(name) or (lambda server, colour, name=name: whole_answer(server, colour, name))
        with LoopbackServer() as server:
            began = time.monotonic()
            passed, tried = run(server, colour)
            yield name, passed, time.monotonic() - began, tried


def call(model: DispatcherChatModel, colour: str) -> AIMessage:
    """Stream one answer."""
    return COLOURS[colour](model, "hello")


def whole_answer(server: LoopbackServer, colour: str, name: str) -> tuple[bool, str]:
    """The whole answer comes in time, from as many requests as are proper."""
    scenario = SCENARIOS[name]
    second = "compatible" if name.startswith("S12") else "openai"
    with bench(server, second=second, clock=Clock()) as model:
        with Faults(model) as faults:
            scenario.fault(faults)
            began = time.monotonic()
            message = call(model, colour)
            took = time.monotonic() - began
        facts = message.response_metadata["llmdispatch"]
        attempts = facts["attempts"]
        tried = tuple(each["deployment"] for each in attempts)
        waited = attempts[1]["started_ms"] + attempts[1]["wait_ms"] if len(attempts) > 1 else 0
        passed = (
            message.text == TEXT
            and tried == scenario.tried
            and took <= scenario.most + TOLERANCE
            and waited >= 1000 * scenario.least
            and facts["deployment"] == scenario.tried[-1]
            and message.usage_metadata is not None
            and model.get_stats().successes == 1
            and call(model, colour).text == TEXT
        )
    return passed, " ".join(tried)


def without_done(server: LoopbackServer, colour: str) -> tuple[bool, str]:
    """S11: the finish reason ends the answer."""
    with bench(server, clock=Clock()) as model:
        server.script("openai", [(Fault.without("done"), Answer(TEXT))], P, repeat=True)
        began = time.monotonic()
        message = call(model, colour)
        took = time.monotonic() - began
    return message.text == TEXT and took <= 2.0 + TOLERANCE and len(server.requests) == 1, P


def content_filter(server: LoopbackServer, colour: str) -> tuple[bool, str]:
    """S13: the vendor's refusal is raised as it is, after one request."""
    with bench(server, clock=Clock()) as model:
        server.script("openai", [Fault.error("content_filter")], P, repeat=True)
        try:
            call(model, colour)
        except errors.ContentFilterError:
            return len(server.requests) == 1, P
    return False, P


def mixed_prefill(server: LoopbackServer, colour: str) -> tuple[bool, str]:
    """S14: a stream that Anthropic began is joined to the whole answer of one without prefill."""
    with bench(server, primary="anthropic", max_retries=0, clock=Clock()) as model:
        with Faults(model) as faults:
            faults.cut(P, after_events=40)
            message = call(model, colour)
        facts = message.response_metadata["llmdispatch"]
    return (message.text, facts["resumed"], facts["deployment"]) == (TEXT, True, S), f"{P} {S}"


def flapping(server: LoopbackServer, colour: str) -> tuple[bool, str]:
    """S15: down for a minute; twenty calls, one every four seconds: all are answered, the last by the primary."""
    served, began = [], time.monotonic()
    with bench(server, clock=Clock(), rng=random.Random(1)) as model:
        for number in range(20):
            time.sleep(max(0.0, began + 4.0 * number - time.monotonic()))
            down = time.monotonic() - began < 60
            server.clear()
            steps = [Fault(status=503)] if down else [Answer(TEXT)]
            server.script("openai", steps, P, repeat=True)
            server.script("openai", [Answer(TEXT)], S, repeat=True)
            message = call(model, colour)
            deployment = message.response_metadata["llmdispatch"]["deployment"]
            served.append((time.monotonic() - began, deployment, message.text == TEXT))
    found = [at for at, name, _ in served if name == P]
    passed = all(whole for *_, whole in served) and bool(found) and 60 <= found[0] <= 60 + 16 + TOLERANCE
    return passed and served[-1][1] == P, f"primary found again {found[0] - 60:.1f} s after its recovery"


if __name__ == "__main__":
    sys.exit(main())
