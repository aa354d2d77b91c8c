"""The Responses API: streams and their items; pieces add up to the answer, whatever a server leaves out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk

from langchain_llmdispatch import errors
from tests.cases import each
from tests.models import summed
from tests.vendors.chunks import fed
from tests.vendors.openai.responses_calls import VENDOR, call
from tests.vendors.openai.test_responses_answer import (
    CALLED,
    CITED,
    MESSAGE,
    OUTPUT,
    RAW,
    REASONING,
    SEARCH,
    check_round_trip,
    decoded,
    response,
)


def events(*given: dict[str, Any]) -> bytes:
    """Return events as OpenAI frames them."""
    return b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in given)


def item_event(kind: str, index: int, item: dict[str, Any]) -> dict[str, Any]:
    """Return the event that an item begins or is done."""
    return {"type": f"response.output_item.{kind}", "output_index": index, "item": item}


def delta(kind: str, index: int, text: str, **fields: Any) -> dict[str, Any]:
    """Return a piece of an item."""
    return {"type": f"response.{kind}.delta", "output_index": index, "delta": text, **fields}


def summary(part: int, text: str) -> dict[str, Any]:
    """Return a piece of a reasoning summary."""
    return delta("reasoning_summary_text", 0, text, item_id="rs_1", summary_index=part)


def completed(*output: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return the last event of a finished response."""
    return {"type": "response.completed", "response": response(list(output), **fields)}


HEAD = events(
    {"type": "response.created", "response": response([], status="in_progress", usage=None)},
    {"type": "response.in_progress", "response": response([], status="in_progress", usage=None)},
)
STREAM = HEAD + events(
    item_event("added", 0, {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "half"}),
    {"type": "response.reasoning_summary_part.added", "output_index": 0, "summary_index": 0},
    summary(0, "Fir"),
    summary(0, "st."),
    summary(1, "Then."),
    item_event("done", 0, REASONING),
    item_event("added", 1, {**SEARCH, "status": "in_progress"}),
    {"type": "response.web_search_call.searching", "output_index": 1, "item_id": "ws_1"},
    item_event("done", 1, SEARCH),
    item_event("added", 2, {**MESSAGE, "content": [], "status": "in_progress"}),
    delta("output_text", 2, "It ", content_index=0, item_id="msg_1", logprobs=[]),
    delta("output_text", 2, "rains.", content_index=0, item_id="msg_1"),
    {
        "type": "response.output_text.annotation.added",
        "output_index": 2,
        "content_index": 0,
        "annotation": CITED,
    },
    item_event("done", 2, MESSAGE),
    item_event("added", 3, {**CALLED, "arguments": "", "status": "in_progress"}),
    delta("function_call_arguments", 3, '{"city":', item_id="fc_1"),
    delta("function_call_arguments", 3, '"Köln"}', item_id="fc_1"),
    item_event("done", 3, CALLED),
    {"type": "response.completed", "response": response(OUTPUT)},
)


def streamed(*pieces: bytes) -> list[AIMessageChunk]:
    """Return the chunks of a stream that arrives in `pieces`."""
    decoder = VENDOR.stream_decoder(call(stream=True), {})
    chunks = [chunk for piece in pieces for chunk in decoder.feed(piece)]
    chunks += decoder.close()
    assert decoder.finished
    assert decoder.done
    return chunks


def without_index(value: Any) -> Any:
    """Return content without the marks by which chunks find together."""
    if isinstance(value, dict):
        return {name: without_index(inner) for name, inner in value.items() if name != "index"}
    return [without_index(inner) for inner in value] if isinstance(value, list) else value


def test_stream_adds_up() -> None:
    """The sum of the chunks is the whole answer, block for block."""
    chunks = streamed(STREAM)
    total, whole = summed(chunks), decoded(OUTPUT)
    assert without_index(total.content) == without_index(whole.content)
    assert without_index(total.content_blocks) == without_index(whole.content_blocks)
    assert total.tool_calls == whole.tool_calls
    assert total.usage_metadata == whole.usage_metadata
    assert total.response_metadata == whole.response_metadata
    for chunk in chunks[:-1]:
        assert chunk.response_metadata == {"model_provider": "openai"}
        assert chunk.content
    assert chunks[-1].chunk_position == "last"


def test_round_trip_of_a_stream() -> None:
    """What came in pieces goes back as what came whole."""
    check_round_trip(summed(streamed(STREAM)))


def test_plain_text_is_one_block() -> None:
    """However many pieces: one text block, under the v1 view too."""
    data = HEAD + events(
        item_event("added", 0, {**MESSAGE, "content": []}),
        *(delta("output_text", 0, text, content_index=0, item_id="msg_1") for text in "abc"),
        {"type": "response.completed", "response": response([MESSAGE])},
    )
    total = summed(streamed(data))
    assert total.text == "abc"
    assert [block["type"] for block in total.content_blocks] == ["text"]


def test_refusal_in_pieces() -> None:
    """A streamed refusal is one block."""
    data = HEAD + events(
        item_event("added", 0, {**MESSAGE, "content": []}),
        delta("refusal", 0, "N", content_index=0),
        delta("refusal", 0, "o.", content_index=0),
        {"type": "response.completed", "response": response([])},
    )
    (block,) = summed(streamed(data)).content_blocks
    assert block["type"] == "refusal"
    assert block["refusal"] == "No."


def test_arguments_in_one_piece_at_the_end() -> None:
    """A server that sends no deltas still sends the call."""
    data = events(
        item_event("added", 0, {**CALLED, "arguments": ""}),
        item_event("done", 0, CALLED),
        {"type": "response.completed", "response": response([CALLED])},
    )
    assert summed(streamed(data)).tool_calls == decoded([CALLED]).tool_calls


def test_silent_reasoning_and_free_text_tool() -> None:
    """Reasoning without a summary keeps its cipher; a custom call comes whole."""
    silent = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "c"}
    custom = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c9", "name": "sql", "input": "select 1"}
    data = events(
        item_event("added", 0, {**silent, "encrypted_content": "half"}),
        item_event("done", 0, silent),
        item_event("added", 1, {**custom, "input": ""}),
        delta("custom_tool_call_input", 1, "select 1"),
        item_event("done", 1, custom),
        {"type": "response.completed", "response": response([silent, custom])},
    )
    total, whole = summed(streamed(data)), decoded([silent, custom])
    assert without_index(total.content) == whole.content
    assert total.tool_calls == whole.tool_calls


def raw_piece(part: int, text: str) -> dict[str, Any]:
    """Return a piece of raw reasoning."""
    return delta("reasoning_text", 0, text, item_id="rs_1", content_index=part)


def test_reasoning_text_of_open_models() -> None:
    """Raw reasoning in pieces is what it is whole, with the ciphertext that only the finished item has."""
    data = events(
        item_event("added", 0, {"type": "reasoning", "id": "rs_1", "summary": []}),
        *(raw_piece(part, text) for part, text in ((0, "H"), (0, "m. "), (1, ""), (1, "Yes."))),
        item_event("done", 0, RAW),
        completed(RAW),
    )
    total, whole = summed(streamed(data)), decoded([RAW])
    assert without_index(total.content) == whole.content
    assert without_index(total.content_blocks) == whole.content_blocks


def test_incomplete_is_an_end() -> None:
    """An answer cut by the output limit is whole for the wire, and ends with `length`."""
    given = response([], status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    data = events(
        delta("output_text", 0, "It", content_index=0, item_id="msg_1"),
        {"type": "response.incomplete", "response": given},
    )
    assert summed(streamed(data)).response_metadata["normalized_finish_reason"] == "length"


def test_cut_call() -> None:
    """A call whose arguments are cut never becomes a valid one."""
    given = response([], status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    data = events(
        item_event("added", 0, {**CALLED, "arguments": ""}),
        delta("function_call_arguments", 0, '{"city":'),
        {"type": "response.incomplete", "response": given},
    )
    with pytest.raises(errors.TruncatedToolCallError):
        streamed(data)


@each(
    ("given", "cls"),
    [
        ({"type": "error", "code": "server_error", "message": "boom"}, errors.ServerError),
        (
            {"type": "error", "error": {"type": "too_many", "code": "rate_limit_exceeded"}},
            errors.RateLimitError,
        ),
        (
            {
                "type": "response.failed",
                "response": response(
                    [], status="failed", error={"code": "rate_limit_exceeded", "message": "x"}
                ),
            },
            errors.RateLimitError,
        ),
        ({"error": {"code": "insufficient_quota", "message": "pay"}}, errors.QuotaExceededError),
    ],
)
def test_errors_in_the_stream(given: dict[str, Any], cls: type[errors.VendorError]) -> None:
    """Both kinds of failure events raise the right class."""
    data = f"data: {json.dumps(given)}\n\n".encode()
    with pytest.raises(errors.VendorError) as raised:
        streamed(HEAD + data)
    assert type(raised.value) is cls


@given(st.integers(0, len(STREAM) - 3))
def test_a_cut_stream_is_no_answer(cut: int) -> None:
    """Before the final event there is no whole answer, wherever the cut is."""
    decoder = VENDOR.stream_decoder(call(stream=True), {})
    chunks = decoder.feed(STREAM[:cut])
    assert not any(chunk.chunk_position for chunk in chunks)
    with pytest.raises(errors.TruncatedStreamError):
        decoder.close()


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_pieces_decide_nothing(cuts: list[int]) -> None:
    """However the network cuts the bytes, the answer is the same."""
    total = summed(fed(VENDOR.stream_decoder(call(stream=True), {}), STREAM, *sorted(cuts)))
    whole = summed(streamed(STREAM))
    assert total.model_dump(exclude={"id"}) == whole.model_dump(exclude={"id"})


# -- what servers leave out or do in their own way -----------------------------------------------------

SHORT = {**MESSAGE, "content": [{"type": "output_text", "text": "It rains."}]}
SILENT = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "cipher"}
TOOLS = {"type": "mcp_list_tools", "id": "mcpl_1", "server_label": "dice", "tools": [{"name": "roll"}]}
FREE = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c9", "name": "sql", "input": "select 1"}
TEXT_DONE = {"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": "It rains."}
ARGUMENTS_DONE = {
    "type": "response.function_call_arguments.done",
    "output_index": 0,
    "item_id": "fc_1",
    "arguments": CALLED["arguments"],
}


@each("item", [SHORT, MESSAGE, CALLED, REASONING, RAW, SILENT, SEARCH, TOOLS, FREE])
@each("place", ["done", "completed", "both"])
def test_items_without_pieces(item: dict[str, Any], place: str) -> None:
    """An item without deltas is taken whole, once, from its end or from the complete response."""
    given = [item_event("done", 0, item)] if place != "completed" else []
    total = summed(streamed(events(*given, completed(*([item] if place != "done" else [])))))
    whole = decoded([item])
    assert without_index(total.content) == whole.content
    assert total.tool_calls == whole.tool_calls
    assert (
        total.response_metadata["normalized_finish_reason"]
        == whole.response_metadata["normalized_finish_reason"]
    )


@pytest.mark.parametrize(
    ("given", "item"),
    [
        ([item_event("added", 0, {**MESSAGE, "content": []}), TEXT_DONE], SHORT),
        ([item_event("added", 0, {**CALLED, "arguments": ""}), ARGUMENTS_DONE], CALLED),
    ],
)
def test_pieces_that_come_at_once(given: list[dict[str, Any]], item: dict[str, Any]) -> None:
    """A text or arguments that come only with the end of their part are there, once."""
    for end in ([completed()], [item_event("done", 0, item), completed(item)]):
        total, whole = summed(streamed(events(*given, *end))), decoded([item])
        assert without_index(total.content) == whole.content
        assert total.tool_calls == whole.tool_calls


def test_a_text_that_ends_too_early() -> None:
    """Deltas that follow the text's end still count."""
    piece = {"content_index": 0, "item_id": "msg_1"}
    given = [delta("output_text", 0, "It ", **piece), {**TEXT_DONE, "text": "It "}]
    data = events(
        *given, delta("output_text", 0, "rains.", **piece), item_event("done", 0, SHORT), completed()
    )
    assert summed(streamed(data)).text == "It rains."


def test_parts_counted_from_one() -> None:
    """Parts may be numbered from 1."""
    given = delta("output_text", 0, "It rains.", content_index=1, item_id="msg_1")
    data = events(item_event("added", 0, {**MESSAGE, "content": []}), given, item_event("done", 0, MESSAGE))
    total = summed(streamed(data + events(completed(MESSAGE))))
    assert without_index(total.content) == decoded([MESSAGE]).content


def test_exact_logprobs() -> None:
    """Log probabilities are those of the pieces, or of the text's end where the pieces have none."""
    exact, rounded = [{"token": "It", "logprob": -1e-7}], [{"token": "It", "logprob": -0.0}]
    part = {"type": "output_text", "text": "It", "logprobs": rounded}
    end = [
        {**TEXT_DONE, "text": "It", "logprobs": exact},
        item_event("done", 0, {**MESSAGE, "content": [part]}),
    ]
    for fields in ({"logprobs": exact}, {}):
        data = events(delta("output_text", 0, "It", content_index=0, **fields), *end, completed())
        assert summed(streamed(data)).response_metadata["logprobs"] == {"content": exact}


OTHER = {**CALLED, "id": "fc_2", "call_id": "call_2", "name": "time", "arguments": '{"zone":"CET"}'}
CALLS = [CALLED, OTHER]


@each("place", [{"output_index": 0}, {}])
@each("interleaved", [False, True])
def test_calls_that_share_a_place(place: dict[str, int], interleaved: bool) -> None:
    """Each call gets its own arguments where every item has the same place, or none."""
    begun = [{"type": "response.output_item.added", **place, "item": {**c, "arguments": ""}} for c in CALLS]
    kind = "response.function_call_arguments.delta"
    pieces = [{"type": kind, **place, "item_id": c["id"], "delta": c["arguments"]} for c in CALLS]
    ends = [{"type": "response.output_item.done", **place, "item": c} for c in CALLS]
    phases = [begun, pieces, ends] if interleaved else zip(begun, pieces, ends, strict=True)
    total = summed(streamed(events(*(event for phase in phases for event in phase), completed(*CALLS))))
    assert total.tool_calls == decoded(CALLS).tool_calls


def test_ids_that_change() -> None:
    """Where each event of an item has another id (GitHub Copilot), its place identifies it; nothing comes twice."""
    items = [{**SILENT, "id": "b"}, {**SHORT, "id": "d"}]
    data = events(
        item_event("added", 0, {"type": "reasoning", "id": "a", "summary": []}),
        item_event("done", 0, items[0]),
        item_event("added", 1, {**MESSAGE, "id": "c", "content": []}),
        delta("output_text", 1, "It rains.", content_index=0, item_id="x"),
        item_event("done", 1, items[1]),
        completed({**SILENT, "id": "e"}, {**SHORT, "id": "f"}),
    )
    thought, given = without_index(summed(streamed(data)).content)
    assert thought == items[0]
    assert given == {"type": "text", "text": "It rains.", "id": "c", "phase": "final_answer"}


def test_items_that_only_the_last_event_names() -> None:
    """Two lists of tools that no event announced stand in the answer beside the one that was."""
    others = [{**TOOLS, "id": "mcpl_2"}, {**TOOLS, "id": "mcpl_3"}]
    data = events(item_event("done", 2, TOOLS), completed(*others, TOOLS))
    assert without_index(summed(streamed(data)).content) == [TOOLS, *others]


def test_a_call_without_a_name() -> None:
    """Arguments that belong to no call that was named are an error, not a call."""
    data = events(delta("function_call_arguments", 0, '{"city":"Köln"}', item_id="fc_1"), completed())
    with pytest.raises(errors.TruncatedToolCallError):
        streamed(data)


@each("whole", ["{}", '{"city":"Oslo"}'])
@each("begun", ["", "{}", "whole"])
@each("pieces", [["whole"], ["{}", "whole"], ["whole", "whole"], []])
@pytest.mark.parametrize("ends", [0, 1, 2])
def test_arguments_come_once(whole: str, begun: str, pieces: list[str], ends: int) -> None:
    """In the item, in pieces, in the item that is done or in the response alone: once, and in one block."""
    texts = {"whole": whole}
    item = {**CALLED, "arguments": whole}
    given = (
        [item_event("added", 0, {**CALLED, "arguments": texts.get(begun, begun)})] if begun or pieces else []
    )
    given += [delta("function_call_arguments", 0, texts.get(text, text), item_id="fc_1") for text in pieces]
    given += [item_event("done", 0, item)] * (ends > 0)
    total = summed(streamed(HEAD, events(*given, completed(*([item] * (ends != 1 or not given))))))
    assert [(one["args"], one["id"]) for one in total.tool_calls] == [(json.loads(whole), "call_1")]
    assert [block["arguments"] for block in total.content] == [whole]


@pytest.mark.parametrize("identity", [None, "same"])
def test_calls_have_ids_of_their_own(identity: str | None) -> None:
    """Left out, or one for both: in a stream and whole alike."""
    raw = [{**CALLED, "id": None, "call_id": identity, "arguments": text} for text in ('{"city":"a"}', "{}")]
    output = [{key: value for key, value in item.items() if value is not None} for item in raw]
    total = summed(
        streamed(HEAD, events(*(item_event("done", n, i) for n, i in enumerate(output)), completed(*output)))
    )
    whole = decoded(output)
    assert len({one["id"] for one in total.tool_calls} - {None, ""}) == 2
    assert [one["id"] for one in total.tool_calls] == [one["id"] for one in whole.tool_calls]
    assert [block["call_id"] for block in total.content] == [one["id"] for one in total.tool_calls]
