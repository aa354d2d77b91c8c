"""How a vendor counts tokens: by estimate, and at its own endpoint where it has one."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import httpx

    from langchain_llmdispatch.types import Call


class CountsTokens:
    """The part of a vendor that counts tokens."""

    characters_per_token: ClassVar[float] = 4.0
    """About how many characters of English a token of its models has."""

    def encode_count(self, call: Call) -> httpx.Request | None:
        """Return the request for the number of tokens of a call; None where the vendor counts none."""
        return None

    def decode_count(self, call: Call, body: bytes) -> int:
        """Return the number of tokens in a successful response.

        Raises:
            MalformedResponseError: The body holds none.
        """
        raise NotImplementedError
