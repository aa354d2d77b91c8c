"""A server on 127.0.0.1 that speaks every vendor's wire format, with faults on demand."""

from tests.loopback.faults import ANSWER, Fault
from tests.loopback.journal import Received, Totals
from tests.loopback.neutral import Answer, ToolCall, Usage
from tests.loopback.server import LoopbackServer

__all__ = ["ANSWER", "Answer", "Fault", "LoopbackServer", "Received", "ToolCall", "Totals", "Usage"]
