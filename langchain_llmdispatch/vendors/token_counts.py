"""How a vendor counts tokens: by estimate, and at its own endpoint where it has one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from langchain_llmdispatch.errors import MalformedResponseError
from langchain_llmdispatch.internal.json_format import parse_json
from langchain_llmdispatch.vendors.usage import count_of

if TYPE_CHECKING:
    import httpx

    from langchain_llmdispatch.types import Call


class CountsTokens:
    """The part of a vendor that counts tokens."""

    characters_per_token: ClassVar[float] = 4.0
    """About how many characters of English a token of its models has."""
    count_field: ClassVar[str | None] = None
    """Where the answer of its counting endpoint has the number, or the tokens; None without an endpoint."""

    def encode_count(self, call: Call) -> httpx.Request | None:
        """Return the request for the number of tokens of a call; None where it cannot be counted."""
        return None

    def decode_count(self, body: bytes) -> int:
        """Return the number of tokens in a successful response.

        Raises:
            MalformedResponseError: The body holds none.
        """
        try:
            answer = parse_json(body)
        except ValueError:
            answer = None
        found: Any = answer.get(self.count_field) if isinstance(answer, dict) else None
        count = len(found) if isinstance(found, list) else count_of(found)
        if count is None:
            raise MalformedResponseError(f"the count of tokens has no {self.count_field}")
        return count
