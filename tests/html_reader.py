"""HTML as a browser reads it: checks displays, and returns their words."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from langchain_llmdispatch import DispatcherChatModel
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of

KEY, NASTY = "sk-very-secret-key", "<script>alert('x')</script>&\"nasty"
VOID = {"br", "meta"}


class Checker(HTMLParser):
    """Reads HTML as a browser would: tags that close, no scripts, no event handlers, nothing loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Check a tag."""
        assert tag not in {"script", "iframe", "img", "link", "object"}
        assert not any(name.startswith("on") or name in {"src", "href"} for name, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Check that it closes what is open."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep the words."""
        if self.open[-1:] != ["style"]:
            self.words += f" {data}"


def words(html: str) -> str:
    """Return what a reader sees, after checking the HTML."""
    checker = Checker()
    checker.feed(str(html))
    checker.close()
    assert checker.open == []
    assert KEY not in html
    assert "url(" not in html
    return re.sub(r"\s+", " ", checker.words)


def nasty_model(server: LoopbackServer) -> DispatcherChatModel:
    """Return a model with a nasty name, a limit, and a price of its own."""
    first = deployment(server, "openai", rpm=500, input_price=3, output_price=9)
    return model_of(
        first.model_copy(update={"name": NASTY, "api_key": lambda: KEY}), deployment(server, "anthropic")
    )
