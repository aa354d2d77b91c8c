"""A server on 127.0.0.1 with every vendor's wire format, and faults on demand."""

from tests.loopback.faults import ANSWER, Fault
from tests.loopback.neutral import Answer, TokenCounts, ToolCall
from tests.loopback.request_log import Received, Totals
from tests.loopback.server import LoopbackServer

__all__ = ["ANSWER", "Answer", "Fault", "LoopbackServer", "Received", "TokenCounts", "ToolCall", "Totals"]
