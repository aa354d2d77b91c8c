"""What the encoders of requests share."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any


def merged(body: dict[str, Any], extra: Mapping[str, Any], without: Collection[str] = ()) -> dict[str, Any]:
    """Return `body` with the caller's own fields: theirs win, objects are merged one level deep.

    Args:
        body: The body so far; it is changed.
        extra: The caller's fields.
        without: Fields that are not sent.
    """
    for name, value in extra.items():
        if name not in without:
            old = body.get(name)
            body[name] = {**old, **value} if isinstance(old, dict) and isinstance(value, Mapping) else value
    return body
