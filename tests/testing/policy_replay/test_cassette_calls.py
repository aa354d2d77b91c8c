"""A cassette's calls as a journal."""

from __future__ import annotations

from pathlib import Path

from langchain_llmdispatch.testing import Cassette, Journal, replay
from tests.loopback.server import LoopbackServer
from tests.testing.models import deployment, model_of

ROOT = Path(__file__).parents[3]


def test_a_journal_from_cassettes(server: LoopbackServer, tmp_path: Path) -> None:
    """A cassette's calls are read by the vendors' own codecs: outcomes, usage, Retry-After."""
    path = tmp_path / "x.yaml"
    models = deployment(server, "openai"), deployment(server, "anthropic")
    with model_of(*models) as model, Cassette(path, mode="rewrite"):
        model.invoke("hello")
        list(model.stream("hello there"))
    own = sorted((ROOT / "cassettes").glob("*/*.yaml"))
    journal = Journal.from_cassettes(path, *own)
    first, second = list(journal)[:2]
    assert first.attempts[0].usage
    assert second.stream
    assert second.output_tokens
    kinds = {one.error for entry in journal for one in entry.attempts}
    assert "ContextOverflowError" in kinds
    assert len(journal) > len(own)
    assert all(b.at >= a.at for a, b in zip(list(journal), list(journal)[1:], strict=False))


def test_recorded_traffic_of_a_real_server() -> None:
    """The repository's own recordings, under another order of the same two interfaces."""
    files = sorted((ROOT / "cassettes").glob("*/*.yaml"))
    one, two = "openai:qwen2.5-coder-0.5b", "anthropic:qwen2.5-coder-0.5b"
    result = replay(Journal.from_cassettes(*files), {"models": [one]}, {"models": [two]})
    assert [sum(policy.answered_by.values()) + policy.failed for policy in result.policies] == [
        len(result.recorded.calls)
    ] * 2
