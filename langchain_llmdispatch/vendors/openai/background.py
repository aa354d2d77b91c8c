"""OpenAI's answers in the background: `background=True` of the Responses API.

A response is created `queued`, read with GET until it is `completed`, `incomplete`, `failed` or `cancelled`,
streamed again with `?stream=true&starting_after=N` for about five minutes, and cancelled with POST:
developers.openai.com/api/docs/guides/background; Azure has the same at its own path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

import httpx

from langchain_llmdispatch.vendors.background import BackgroundAnswers
from langchain_llmdispatch.vendors.request import bodyless_request, custom_headers

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

    from langchain_llmdispatch.types import Call

AHEAD = frozenset({"queued", "in_progress"})
"""Statuses of an answer that is still to come."""


class Addresses(Protocol):
    """Where a vendor's API is, and what authorizes a request."""

    def url(self, call: Call, path: str = ...) -> str:
        """Return the URL of a path of the API."""

    def credentials(self, call: Call) -> dict[str, str]:
        """Return the headers that authorize a request."""


class ResponsesInBackground(BackgroundAnswers):
    """Answers of the Responses API that are made in the background.

    Args:
        vendor: The vendor, which has the addresses and credentials.
        call: The call that is answered so.
    """

    def __init__(self, vendor: Addresses, call: Call) -> None:
        super().__init__(call)
        self._vendor = vendor

    def pending(self, message: AIMessage) -> str | None:
        """Return the id of a response that is queued or in progress."""
        metadata = message.response_metadata
        return str(metadata.get("id") or "") or None if metadata.get("status") in AHEAD else None

    def poll(self, response_id: str) -> httpx.Request:
        """Return `GET /responses/ID`."""
        return self._request("GET", response_id)

    def stream(self, response_id: str, after: int | None = None) -> httpx.Request:
        """Return `GET /responses/ID?stream=true`, and `starting_after`."""
        query = {"stream": "true"} | ({} if after is None else {"starting_after": str(after)})
        return self._request("GET", response_id, query)

    def cancel(self, response_id: str) -> httpx.Request:
        """Return `POST /responses/ID/cancel`."""
        return self._request("POST", response_id, action="/cancel")

    def ending_event(self, body: bytes) -> bytes:
        """Return `response.completed` with the response; its status is how it ended."""
        one_line = body.replace(b"\r", b" ").replace(b"\n", b" ")
        return b'data: {"type":"response.completed","response":' + one_line + b"}\n\n"

    def _request(
        self, method: str, response_id: str, query: dict[str, str] | None = None, action: str = ""
    ) -> httpx.Request:
        call, vendor = self._call, self._vendor
        url = httpx.URL(vendor.url(call, f"responses/{quote(response_id, safe='')}{action}"))
        if query:
            url = url.copy_merge_params(query)
        return bodyless_request(
            method, url, lambda: {**vendor.credentials(call), **custom_headers(call.endpoint)}
        )
