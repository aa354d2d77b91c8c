"""What an attempt's error must not hold: credentials in its texts, its causes and the frames it passed.

A vendor may echo what it was sent, in whatever part of a response; error reporters (Sentry) show the local
variables of every frame that an exception has passed, and of its causes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import FrameType

from langchain_llmdispatch.errors import DispatchError
from langchain_llmdispatch.vendors.redaction import hidden

_OF_TRANSPORT = frozenset({"httpx", "httpcore"})
_CLEARED = _OF_TRANSPORT | {"langchain_llmdispatch", "h11", "anyio", "asyncio", "ssl", "orjson", "json"}
"""Packages whose frames hold requests and responses. Frames of users' own code keep their variables."""


def cleanse(error: DispatchError, secrets: Sequence[str]) -> None:
    """Remove credentials from an error: from its texts, and with causes that show them.

    Errors of httpx are removed as well, whatever they show: they hold the request.

    Args:
        error: The error; it is changed.
        secrets: What must not be shown.
    """
    before, error.message = error.message, hidden(error.message, *secrets)
    if error.args == (before,):  # mostly
        error.args = (error.message,)
    else:
        error.args = tuple(hidden(arg, *secrets) if isinstance(arg, str) else arg for arg in error.args)
    for name in ("code", "request_id"):
        if isinstance(text := getattr(error, name), str):
            setattr(error, name, hidden(text, *secrets))
    for name in ("__cause__", "__context__"):
        linked = getattr(error, name)
        if isinstance(linked, DispatchError):
            cleanse(linked, secrets)
        elif linked is not None and not _may_stay(linked, secrets):
            setattr(error, name, None)


def forget_variables(error: BaseException) -> None:
    """Clear the variables of the frames that an error and its causes have passed."""
    for each in _chain(error):
        trace = each.__traceback__
        while trace is not None:
            _clear(trace.tb_frame)
            trace = trace.tb_next


def _clear(frame: FrameType) -> None:
    module = str(frame.f_globals.get("__name__", ""))
    if module.partition(".")[0] in _CLEARED:
        try:
            frame.clear()
        except RuntimeError:  # it is running
            return


def _may_stay(linked: BaseException, secrets: Sequence[str]) -> bool:
    return not any(_is_of_transport(each) or _shows(each, secrets) for each in _chain(linked))


def _is_of_transport(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] in _OF_TRANSPORT


def _shows(error: BaseException, secrets: Sequence[str]) -> bool:
    held = [*error.args, *vars(error).values(), getattr(error, "doc", ""), getattr(error, "object", "")]
    texts = (value.decode("latin-1") if isinstance(value, bytes) else str(value) for value in held)
    return any(hidden(text, *secrets) != text for text in texts)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and everything behind it, each once."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += [each.__cause__, each.__context__, *getattr(each, "exceptions", ())]
