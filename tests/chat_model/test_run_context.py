"""The LLM run of a stream, which LangChain does not pass on: each stream finds its own, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest
from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    BaseCallbackHandler,
    CallbackManager,
    CallbackManagerForLLMRun,
)
from langchain_core.language_models import BaseChatModel
from langchain_core.outputs import LLMResult

from langchain_llmdispatch import DispatcherChatModel
from langchain_llmdispatch.callbacks.events import Run
from langchain_llmdispatch.chat_model.run_context import StreamRun, set_run, take_run
from tests.callbacks.handlers import RecordingHandler, collect
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of


def test_a_run_is_taken_once() -> None:
    """The stream that begins next takes it; the one after that finds none."""
    run = CallbackManager(handlers=[]).on_chat_model_start({}, [[]])[0]
    set_run(run)
    assert (take_run(), take_run()) == (run, None)


def test_a_stream_s_run_has_the_id_and_handlers_that_langchain_will_use() -> None:
    """Without handlers the config stays as it is: there is nothing that could be notified."""
    model, handler = DispatcherChatModel(model="ollama:x", env={}, tags=["own"]), RecordingHandler()
    config = {"callbacks": [handler], "run_id": UUID(int=7), "tags": ["t"]}
    with StreamRun(model, config, CallbackManagerForLLMRun) as prepared:
        run = take_run()
    assert run is not None
    assert (run.run_id, run.handlers, sorted(run.tags)) == (UUID(int=7), [handler], ["own", "t"])
    assert prepared["run_id"] == run.run_id
    with StreamRun(model, None, CallbackManagerForLLMRun) as prepared:
        assert "run_id" not in prepared
    assert take_run() is None


def test_langchain_s_own_methods_are_left_as_they_are() -> None:
    """None of the methods around `_generate` is overridden."""
    for name in ("generate", "agenerate", "_generate_with_cache", "_agenerate_with_cache", "_convert_input"):
        assert getattr(DispatcherChatModel, name) is getattr(BaseChatModel, name)


def test_fifty_streams_at_once_keep_their_runs_apart(server: LoopbackServer) -> None:
    """Concurrent streams in one loop each notify the handlers of their own run."""
    model, handler = model_of(deployment(server, "openai")), [RecordingHandler() for _ in range(50)]

    async def main() -> None:
        await asyncio.gather(*(collect(model, {"callbacks": [one]}) for one in handler))

    asyncio.run(main())
    assert all(one.names() == ["start", "attempt", "usage", "end"] for one in handler)
    assert all(len({run_id for _, run_id in one.seen}) == 1 for one in handler)


def test_a_stream_leaves_nothing_in_the_caller_s_context(server: LoopbackServer) -> None:
    """Between two chunks another model's call is not taken for part of the stream's run."""
    model, other, handler = (
        model_of(deployment(server, "openai")),
        model_of(deployment(server, "openai")),
        RecordingHandler(),
    )
    stream = model.stream("hello", {"callbacks": [handler]})
    next(iter(stream))
    assert take_run() is None
    other.invoke("hello")
    list(stream)
    assert handler.names().count("attempt") == 1


def test_a_stream_that_cannot_begin_leaves_nothing_either(server: LoopbackServer) -> None:
    """An input that is no conversation fails before the call; the context is clean."""
    model = model_of(deployment(server, "openai"))
    with pytest.raises(ValueError, match="Invalid input type"):
        list(model.stream(7, {"callbacks": [RecordingHandler()]}))
    assert take_run() is None


def test_a_manager_as_callbacks_and_a_run_id_are_honoured(server: LoopbackServer) -> None:
    """A stream keeps the run id, parents and tags that the caller chose, each once."""
    model, handler = model_of(deployment(server, "openai"), tags=["own"]), RecordingHandler()
    parent, run_id = UUID(int=1), UUID(int=2)
    seen: dict[str, Any] = {}

    class Start(BaseCallbackHandler):
        def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
            seen.update(kwargs)

    manager = CallbackManager(handlers=[handler, Start()], parent_run_id=parent)
    list(model.stream("hello", {"callbacks": manager, "run_id": run_id, "tags": ["t"], "metadata": {"k": 1}}))
    assert (seen["run_id"], seen["parent_run_id"], sorted(seen["tags"])) == (run_id, parent, ["own", "t"])
    assert seen["metadata"]["k"] == 1
    assert handler.names() == ["start", "attempt", "usage", "end"]


def test_the_end_of_an_unobserved_run_makes_no_task(server: LoopbackServer) -> None:
    """LangChain ends a run in two tasks; without a handler there is only that of the answer."""
    model, made = model_of(deployment(server, "openai")), list[Any]()

    async def main() -> None:
        await model.ainvoke("hello")  # connects
        asyncio.get_running_loop().set_task_factory(_counting(made))
        await model.ainvoke("hello")
        asyncio.get_running_loop().set_task_factory(None)

    asyncio.run(main())
    assert len(made) == 1


def _counting(made: list[Any]) -> Any:
    def task_of(loop: asyncio.AbstractEventLoop, coroutine: Any, **kwargs: Any) -> asyncio.Task[Any]:
        made.append(coroutine)
        return asyncio.Task(coroutine, loop=loop, **kwargs)

    return task_of


@pytest.mark.parametrize("observed", [False, True])
def test_a_run_is_ended_by_a_manager_that_does_it_in_its_own_way(observed: bool) -> None:
    """A tracer may have its own class of run: its `on_llm_end` is called, with a handler or without."""
    ended: list[Any] = []

    class Traced(AsyncCallbackManagerForLLMRun):
        async def on_llm_end(self, response: Any, **kwargs: Any) -> None:
            ended.append(response)

    async def main() -> None:
        handlers: list[BaseCallbackHandler] = [RecordingHandler()] if observed else []
        run = Traced(run_id=UUID(int=1), handlers=handlers, inheritable_handlers=[])
        Run(run)
        await run.on_llm_end(LLMResult(generations=[]))

    asyncio.run(main())
    assert len(ended) == 1
