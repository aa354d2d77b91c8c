"""`Relay` and `BufferedRelay`: when a streamed answer is handed over, without a network."""

from __future__ import annotations

import pytest

from langchain_llmdispatch import errors
from langchain_llmdispatch.dispatch.cascade import Cascade
from langchain_llmdispatch.dispatch.dispatch import Dispatch
from langchain_llmdispatch.dispatch.policy import CallPolicy
from langchain_llmdispatch.drivers.exchange import Exchange
from langchain_llmdispatch.drivers.relay import BufferedRelay, Relay, parts_of, relay_of
from langchain_llmdispatch.testing import FakeClock
from langchain_llmdispatch.types import TimeLimits
from tests.drivers.script import call, events, exchange_of


def relayed(dispatch: Dispatch) -> tuple[Exchange, Relay]:
    """Return the relay of a call's first attempt, whose request has left."""
    exchange = exchange_of(dispatch)
    exchange.begin()
    return exchange, relay_of(exchange, {})


def texts(chunks: list) -> list[str]:
    """Return the text of each chunk."""
    return [chunk.message.text for chunk in chunks]


def test_heads_are_held_until_content_commits_the_answer() -> None:
    """Before that the attempt is not committed, so that another one may still answer unseen."""
    exchange, relay = relayed(call(stream=True))
    head, first, *rest = events("one", " two")
    assert relay.feed(head) == []
    assert not exchange.attempt.committed
    assert "".join(texts(relay.feed(first))) == "one"
    assert exchange.attempt.committed
    assert exchange.attempt.begun
    assert "".join(texts([chunk for piece in rest for chunk in relay.feed(piece)])) == " two"
    assert relay.done


def test_the_last_chunk_has_the_facts_of_the_call() -> None:
    """In exactly one chunk, after the attempt has succeeded."""
    exchange, relay = relayed(call(stream=True))
    chunks = [chunk for piece in events("one") for chunk in relay.feed(piece)] + relay.close()
    with_facts = [chunk for chunk in chunks if "llmdispatch" in chunk.message.response_metadata]
    assert with_facts == chunks[-1:]
    assert with_facts[0].generation_info is not None
    assert exchange.attempt.call.outcome == "answered"


def test_an_answer_without_its_end_marker_is_truncated() -> None:
    """Whatever was handed over before."""
    _, relay = relayed(call(stream=True))
    for piece in events("one", end=False):
        relay.feed(piece)
    with pytest.raises(errors.TruncatedStreamError):
        relay.close()


def test_an_answer_without_content_is_empty() -> None:
    """Its heads are not handed over."""
    _, relay = relayed(call(stream=True))
    assert [chunk for piece in events() for chunk in relay.feed(piece)] == []
    with pytest.raises(errors.EmptyAnswerError):
        relay.close()


def test_a_connection_may_break_once_the_answer_is_whole() -> None:
    """Before the finish reason, it is the attempt's error."""
    _, relay = relayed(call(stream=True))
    *pieces, _ = events("one")
    error = errors.ConnectionFailedError("reset")
    relay.feed(pieces[0])
    with pytest.raises(errors.ConnectionFailedError):
        relay.broken(error)
    for piece in pieces[1:]:
        relay.feed(piece)
    relay.broken(error)
    assert not relay.done
    assert relay.close()[-1].message.chunk_position == "last"


def test_content_restarts_the_wait() -> None:
    """`stream_idle` bounds the time between pieces of content; after the finish reason there is a short grace."""
    clock = FakeClock()
    policy = CallPolicy(times=TimeLimits(timeout=30.0, stream_idle=4.0))
    exchange, relay = relayed(call(policy=policy, stream=True, clock=clock))
    head, first, finish, _ = events("one")
    relay.feed(head)
    assert (exchange.read_deadline.left(), exchange.read_deadline.what) == (30.0, "the answer")
    clock.advance(10.0)
    relay.feed(first)
    assert exchange.read_deadline.left() == pytest.approx(4.0)
    relay.feed(finish)
    assert exchange.read_deadline.left() == pytest.approx(2.0)
    relay.linger()
    assert exchange.read_deadline.left() == pytest.approx(0.1)


def test_keep_alives_do_not_prolong_the_grace() -> None:
    """Each frame after the finish reason does, though it hold no content."""
    clock = FakeClock()
    exchange, relay = relayed(call(stream=True, clock=clock))
    head, first, finish, _ = events("one")
    for piece in (head, first, finish):
        relay.feed(piece)
    clock.advance(1.5)
    relay.feed(b": keep-alive\n\n")
    assert exchange.read_deadline.left() == pytest.approx(0.5)
    relay.feed(finish)
    assert exchange.read_deadline.left() == pytest.approx(2.0)


def test_content_after_a_finish_reason_ends_the_grace() -> None:
    """Then finish reasons are stamped on all chunks, and the wait is that for content, bounded or not."""
    for idle, left in ((4.0, 4.0), (None, 600.0)):  # the deadline of the call
        policy = CallPolicy(times=TimeLimits(timeout=30.0, stream_idle=idle))
        exchange, relay = relayed(call(policy=policy, stream=True))
        head, first, finish, _ = events("one")
        for piece in (head, first, finish, first):
            relay.feed(piece)
        assert exchange.read_deadline.left() == pytest.approx(left)
        with pytest.raises(errors.ConnectionFailedError):
            relay.broken(errors.ConnectionFailedError("reset"))


def unsure() -> CallPolicy:
    """Return a policy that declines answers which know nothing."""
    return CallPolicy(cascade=Cascade.of(lambda message: "know" in message.text))


def test_a_cascade_holds_all_chunks_until_the_answer_is_accepted() -> None:
    """Content is recorded, but nothing is committed before the end."""
    exchange, relay = relayed(call(policy=unsure(), stream=True))
    assert isinstance(relay, BufferedRelay)
    assert [chunk for piece in events("Par", "is") for chunk in relay.feed(piece)] == []
    assert (exchange.attempt.begun, exchange.attempt.committed) == (True, False)
    assert "".join(texts(relay.close())) == "Paris"
    assert exchange.attempt.call.outcome == "answered"


def test_a_declined_stream_is_kept() -> None:
    """It is handed over if no better answer comes, with the facts of that moment."""
    exchange, relay = relayed(call(policy=unsure(), stream=True))
    for piece in events("who ", "knows"):
        relay.feed(piece)
    assert relay.close() == []
    assert exchange.attempt.declined
    outputs = exchange.attempt.call.declined[-1].outputs()
    assert "".join(texts(outputs)) == "who knows"
    assert outputs[-1].message.response_metadata["llmdispatch"]["accepted"] is False


@pytest.mark.parametrize("size", [0, 1, 1024, 1025, 9_999])
def test_a_long_piece_is_decoded_in_growing_parts(size: int) -> None:
    """The first part is small, each further one twice as long, and nothing is lost."""
    piece = bytes(range(256)) * 40
    parts = list(parts_of(piece[:size]))
    assert b"".join(parts) == piece[:size]
    assert [len(part) for part in parts[:-1]] == [1024 * 2**n for n in range(len(parts) - 1)]


def test_what_is_no_bytes_stays_whole() -> None:
    """A vendor that runs in process yields messages."""
    assert list(parts_of([1, 2])) == [[1, 2]]
