"""The items of a streamed response: which one an event belongs to, and what of it came in no piece."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Event = Mapping[str, Any]


class StreamedItems:
    """Items by the order in which they begin.

    Neither place nor id is sure: some servers give every item the place 0 or none (llama.cpp), others change
    ids between the events of one item (GitHub Copilot). The pair of both is tried first, then each alone.
    """

    __slots__ = ("_done", "_items", "_slots")

    def __init__(self) -> None:
        self._items: list[Event] = []
        self._slots: dict[tuple[Any, Any], int] = {}
        self._done: set[int] = set()

    def __getitem__(self, slot: int) -> Event:
        """Return the item as it began."""
        return self._items[slot]

    def begin(self, event: Event, item: Event) -> int:
        """Return the slot of an item that an event begins."""
        slot = len(self._items)
        self._items.append(item)
        place = event.get("output_index")
        names = {item.get("id"), item.get("call_id"), event.get("item_id")} - {None, ""}
        self._slots |= {(place, name): slot for name in names} | {(None, name): slot for name in names}
        if place is not None:
            self._slots[place, None] = slot
        return slot

    def slot(self, event: Event, kind: str) -> int:
        """Return the slot of the item of type `kind` that a piece belongs to; it may not have begun yet."""
        found = self._find(event, event.get("item_id"))
        if found is None:
            return self.begin(event, {"type": kind, "id": event.get("item_id")})
        return found

    def finish(self, event: Event) -> int:
        """Return the slot of the item that an event completes."""
        item = event["item"]
        slot = self._find(event, item.get("id"))
        if slot is None or slot in self._done or self._items[slot].get("type") != item.get("type"):
            slot = self.begin(event, item)
        self._done.add(slot)
        return slot

    def unfinished(self, output: Sequence[Event]) -> Iterator[tuple[int, Event]]:
        """Yield the items of a complete response that no event has completed."""
        left = list(range(len(self._items)))
        strange = []
        for item in output:
            slot = next((slot for slot in left if _same(self._items[slot], item)), None)
            if slot is None:
                strange.append(item)
            else:
                left.remove(slot)
                if slot not in self._done:
                    yield slot, item
        for item in strange:
            # Where ids differ, items of one type are the same ones in the same order.
            slot = next((slot for slot in left if self._items[slot].get("type") == item.get("type")), None)
            if slot is None:
                slot = self.begin({}, item)
            else:
                left.remove(slot)
            if slot not in self._done:
                yield slot, item

    def _find(self, event: Event, name: Any) -> int | None:
        place = event.get("output_index")
        if not name and place is None:
            return len(self._items) - 1 if self._items else None
        for key in ((place, name), (None, name), (place, None)):
            if (slot := self._slots.get(key)) is not None:
                return slot
        return None


def _same(one: Event, other: Event) -> bool:
    return any(one.get(name) and one.get(name) == other.get(name) for name in ("id", "call_id"))
