"""An id and the time taken, in the headers of each response, as OpenAI's API has them."""

from __future__ import annotations

import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_FITS = re.compile(r"[\w.:-]{1,128}", re.ASCII)
_STATE = "llmdispatch_request_id"


def request_id_of(scope: Scope) -> str:
    """Return the id of a request."""
    return str(scope.get(_STATE, ""))


class RequestIds:
    """Middleware: `x-request-id` (the client's own, if it is one) and `openai-processing-ms`.

    Args:
        app: The application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given, began = Headers(scope=scope).get("x-request-id", ""), time.perf_counter()
        name = given if _FITS.fullmatch(given) else f"req_{uuid.uuid4().hex}"
        scope[_STATE] = name

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = name
                headers["openai-processing-ms"] = str(round((time.perf_counter() - began) * 1000))
            await send(message)

        await self._app(scope, receive, send_with_id)
