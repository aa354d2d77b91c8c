"""Names of models: how people write them, and where the data files list them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

_DATE = re.compile(r"[-@](?:20\d{2}-\d{2}-\d{2}|20\d{6}|\d{2}-20\d{2})$")
_VARIANT = re.compile(r"-(?:latest|\d{3,4}|(?:preview|exp|experimental)(?:-[\d-]+)?)$")


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """Where the data files list one vendor's models, and how their names are written.

    A vendor's class holds one; listings are compared by identity, so that they are cheap keys of caches.

    Attributes:
        section: The vendor's section of `facts.json`.
        profiles: Its section of `profiles.json`, if that is another vendor's; empty: `section`.
        seller: The provider's id in genai-prices; empty: `section`.
        prefixes: What people write before a model's name, beside `section:`.
        spellings: Parts of names that the vendor spells differently: (its spelling, the listed one).
        colon: What follows a colon in a name: a part of the `name`, a `tag` that names a variant of the model
            (Ollama), or the `seller` that serves it (Hugging Face).
    """

    section: str
    profiles: str = ""
    seller: str = ""
    prefixes: tuple[str, ...] = ()
    spellings: tuple[tuple[str, str], ...] = ()
    colon: Literal["name", "tag", "seller"] = "name"

    def plain_name(self, model: str) -> str:
        """Return `model` in lower case, without what people and vendors write around it.

        Args:
            model: A model id, resource name (`models/...`), fine-tune (`ft:...`), or prefixed name.
        """
        name = model.strip().lower().removeprefix(f"{self.section}:")
        if "/models/" in name:  # projects/../publishers/google/models/gemini-..
            name = name.rpartition("/models/")[2]
        while (short := self._without_prefix(name)) != name:
            name = short
        if name.startswith("ft:"):
            name = name.split(":")[1]
        if self.colon == "seller":
            name = name.partition(":")[0]
        for spelling, listed in self.spellings:
            name = name.replace(spelling, listed)
        return name

    def _without_prefix(self, name: str) -> str:
        for prefix in self.prefixes:
            if name.startswith(prefix) and len(name) > len(prefix):
                return name[len(prefix) :]
        return name

    def profile_names(self, model: str) -> Iterator[str]:
        """Yield the names under which `model` may have a profile, the most exact first."""
        name = self.plain_name(model)
        yield name
        if self.colon == "tag":
            name = name.partition(":")[0]
            yield name
        yield undated(name)
        while (shorter := _VARIANT.sub("", undated(name))) != name:
            name = shorter
            yield name

    def price_names(self, model: str) -> tuple[str, ...]:
        """Return the names under which `model` may have a price, the most exact first."""
        name = self.plain_name(model)
        written = name if self.colon == "seller" else model.strip().lower()
        return tuple(dict.fromkeys((written, name, undated(name))))

    def seller_of(self, model: str) -> str:
        """Return genai-prices' id of the provider that sells `model`; an id it does not have if unknown."""
        seller = self.seller or self.section
        # Without a seller in the name, the vendor's router chooses one per request.
        return f"{seller}_{model.lower().partition(':')[2]}" if self.colon == "seller" else seller


def undated(name: str) -> str:
    """Return `name` without the date of its snapshot (`gpt-6-luna-2026-09-01` -> `gpt-6-luna`)."""
    return _DATE.sub("", name)
