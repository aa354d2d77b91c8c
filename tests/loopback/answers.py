"""Makes up the answers of the pretended model. Same request, same answer."""

import json
import re
from dataclasses import replace

from tests.loopback.neutral import JSON, Answer, Request, TokenCounts, Tool, ToolCall, count, pieces
from tests.loopback.schemas import Synthesis, places

WANTS_TOOL = re.compile(
    r"weather|us(?:e|ing) the tool|call the|create a customer|in parallel|magic_function", re.IGNORECASE
)
WORDS = re.compile(r"that follows this JSON Schema, and with nothing else:\n(\{.*\})", re.DOTALL)
THOUGHT = "The user asks something simple. I read the request again and then answer it."
CACHE_FROM = 1024
CACHE_STEP = 128


def answer_to(request: Request) -> Answer:
    """Answer a request: a tool call, JSON, or text; stopped, cut and counted."""
    answer = _decided(request)
    if request.reasoning:
        answer = replace(answer, reasoning=THOUGHT)
    if answer.text:
        answer = _limited(_stopped(answer, request.stop), request.max_tokens)
    return completed(answer, request)


def completed(answer: Answer, request: Request) -> Answer:
    """Complete an answer, ours or a scripted one, with finish reason, usage and model."""
    return answer.completed(_usage(answer, request), request.model)


def _decided(request: Request) -> Answer:
    calls = _calls(request)
    if calls:
        return Answer(tool_calls=calls)
    schema = request.schema or _schema_in_words(request)
    if schema is not None:
        return Answer(_json(Synthesis(schema, request.prompt).value()))
    if request.json_mode:
        return Answer(_json({"setup": "Why did the cat sit on the router?", "punchline": "It was warm."}))
    return Answer(_text(request))


def _schema_in_words(request: Request) -> JSON | None:
    found = (WORDS.search(turn.text) for turn in request.turns if turn.role == "system")
    return next((json.loads(match[1]) for match in found if match), None)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _text(request: Request) -> str:
    last = request.turns[-1] if request.turns else None
    if last and last.role == "tool":
        return f"The tool says: {last.text.strip()[:400]}. That is my answer."
    seen = sum(turn.images for turn in request.turns)
    suffix = f" I see {seen} attachment(s)." if seen else ""
    prompt = " ".join(request.prompt.split())[:400]
    return f"Hello! You said: {prompt}{suffix} Is there anything else?"


def _calls(request: Request) -> tuple[ToolCall, ...]:
    if not request.tools or request.tools_off:
        return ()
    if request.forced:
        return _planned(request, [tool for tool in request.tools if tool.name == request.forced])
    answered = bool(request.turns) and request.turns[-1].role == "tool"
    if answered or not _wants_tool(request):
        return ()
    return _planned(request, [])


def _wants_tool(request: Request) -> bool:
    named = any(tool.name in request.prompt for tool in request.tools)
    instructed = any("must call" in turn.text for turn in request.turns if turn.role == "system")
    return named or instructed or bool(WANTS_TOOL.search(request.prompt))


def _planned(request: Request, forced: list[Tool]) -> tuple[ToolCall, ...]:
    prompt = request.prompt
    named = sorted(
        (tool for tool in request.tools if re.search(rf"(?<!\w){re.escape(tool.name)}(?!\w)", prompt)),
        key=lambda tool: prompt.index(tool.name),
    )
    tools = forced or named or list(request.tools[:1])
    if len(tools) == 1 and request.parallel:
        tools = tools * _repeats(prompt, tools[0].name)
    if not request.parallel:
        tools = tools[:1]
    return tuple(_call(tool, prompt, i) for i, tool in enumerate(tools))


def _repeats(prompt: str, name: str) -> int:
    times = max(len(places(prompt)), prompt.count(f"{name}("), 1)
    return max(times, 2) if re.search(r"in parallel", prompt, re.IGNORECASE) else times


def _call(tool: Tool, prompt: str, index: int) -> ToolCall:
    value = Synthesis(tool.schema, prompt, index).value()
    return ToolCall(tool.name, value if isinstance(value, dict) else {})


def _stopped(answer: Answer, stops: tuple[str, ...]) -> Answer:
    found = [(answer.text.index(stop), stop) for stop in stops if stop and stop in answer.text]
    if not found:
        return answer
    at, stop = min(found)
    return replace(answer, text=answer.text[:at], stop_sequence=stop)


def _limited(answer: Answer, limit: int | None) -> Answer:
    words = pieces(answer.text)
    if limit is None or len(words) <= limit:
        return answer
    return replace(answer, text="".join(words[:limit]), finish="length", stop_sequence=None)


def _usage(answer: Answer, request: Request) -> TokenCounts:
    reasoning = count(answer.reasoning)
    spoken = len(pieces(answer.text)) + sum(count(call.name + call.text) + 3 for call in answer.tool_calls)
    cached = request.input_tokens // CACHE_STEP * CACHE_STEP if request.input_tokens >= CACHE_FROM else 0
    written = request.input_tokens // 4 if request.cache_marked else 0
    read = min(
        max(cached, request.input_tokens // 4 if request.cache_marked else 0), request.input_tokens - written
    )
    return TokenCounts(request.input_tokens, spoken + reasoning, read, written, reasoning)
