"""Four processes that spend one dollar together, through a budget on a Redis server.

    python benchmarks/redis_budget.py redis://127.0.0.1:6379/0

Each process makes calls whose worst case is a cent and whose cost is less, as fast as it can, until the budget
refuses them. What all have spent must be one dollar to a per cent, and no more.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
import uuid
from decimal import Decimal

import httpx

from langchain_llmdispatch import BudgetExceededError, Deployment, DispatcherChatModel, VendorConfig
from langchain_llmdispatch.redis import RedisBudget, RedisState

_PROCESSES = 4
_USAGE = {"prompt_tokens": 1, "completion_tokens": 40, "total_tokens": 41}
_CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
_BODY = json.dumps({"id": "c", "object": "chat.completion", "choices": [_CHOICE], "usage": _USAGE}).encode()


def _spend(url: str, prefix: str, results: multiprocessing.Queue[Decimal]) -> None:
    """Call until the budget is used up, and report what was spent."""
    mock = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, content=_BODY)))
    state = RedisState(url, prefix=prefix, timeout=1.0)
    model = DispatcherChatModel(
        models=[Deployment("openai:gpt-6-luna", api_key="key", input_price=0, output_price=100)],
        vendors={"openai": VendorConfig(http_client=mock)},
        env={},
        max_tokens=100,
        budget=RedisBudget(state, "team", 1, "day"),
    )
    spent = Decimal(0)
    while True:
        try:
            answer = model.invoke("hi")
        except BudgetExceededError:
            break
        spent += Decimal(answer.response_metadata["llmdispatch"]["cost_usd"])
    state.sync()
    results.put(spent)


def main() -> None:
    """Print what each process has spent, and all together."""
    url, prefix = sys.argv[1] if len(sys.argv) > 1 else "redis://127.0.0.1:6379/0", uuid.uuid4().hex
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[Decimal] = context.Queue()
    processes = [context.Process(target=_spend, args=(url, prefix, results)) for _ in range(_PROCESSES)]
    began = time.perf_counter()
    for process in processes:
        process.start()
    spent = [results.get() for _ in processes]
    for process in processes:
        process.join()
    seconds = time.perf_counter() - began
    shares = ", ".join(f"${usd:.3f}" for usd in spent)
    print(
        f"{_PROCESSES} processes: {shares}; together ${sum(spent, Decimal(0)):.4f} of $1 in {seconds:.1f} s"
    )


if __name__ == "__main__":
    main()
