"""Cassette files: what one holds, how it is written and read. Readable, small, and checked for secrets."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.testing.cassettes.payloads import loads, unpack
from langchain_llmdispatch.testing.cassettes.secrets import Secrets
from langchain_llmdispatch.types import __version__

FORMAT = 1
_HEAD = """\
# Recorded exchanges, scrubbed of credentials. Edit freely; record anew with --llmdispatch-record=rewrite.
"""


@dataclass(slots=True)
class Interaction:
    """One request and its response, without secrets.

    Attributes:
        vendor: The vendor's name, or the host of another client's request.
        request: `method`, `url`, `headers`, `body` (JSON value, text or absent).
        response: `status`, `headers`, the packed body; `seconds` until its end, `head_ms` until its head,
            `at_ms` when each event came, `cut` where it was not read or sent to its end.
        deployment: The deployment's name.
        model: The vendor's model id.
        call: Which call of the recording it belongs to, from 1.
        attempt: Which attempt of that call it was, from 1.
    """

    vendor: str
    request: dict[str, Any]
    response: dict[str, Any]
    deployment: str | None = None
    model: str | None = None
    call: int | None = None
    attempt: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what the file holds of it."""
        names = ("vendor", "deployment", "model", "call", "attempt")
        known = {name: value for name in names if (value := getattr(self, name)) is not None}
        return {**known, "request": self.request, "response": self.response}

    def pieces(self, size: int | None = None) -> tuple[list[bytes], list[int]]:
        """Return the body in pieces, and when each came, in milliseconds.

        Args:
            size: Bytes per piece; None is one event each.
        """
        body, ends = unpack(self.response)
        times = self.response.get("at_ms") or []
        if size is None:
            starts = [0, *ends[:-1]]
            pieces = [body[a:b] for a, b in zip(starts, ends, strict=True)]
        else:
            pieces = [body[at : at + size] for at in range(0, len(body), size)]
            times = []
        return pieces, times


@dataclass(slots=True)
class Tape:
    """The content of a cassette file.

    Attributes:
        interactions: The exchanges, in the order in which they began.
        recorded: When, ISO 8601.
        by: Which version of this package recorded it.
        served_by: The server and its version.
        note: A note for readers.
        keys: The vendors whose keys the application's models had; a replay needs none of them.
    """

    interactions: list[Interaction] = field(default_factory=list)
    recorded: str | None = None
    by: str = f"langchain-llmdispatch {__version__}"
    served_by: str | None = None
    note: str | None = None
    keys: list[str] = field(default_factory=list)

    def vendors(self) -> list[str]:
        """Return the vendors of the requests, and those that they might have gone to."""
        return list(dict.fromkeys([*self.keys, *(interaction.vendor for interaction in self.interactions)]))

    def to_dict(self) -> dict[str, Any]:
        """Return the document."""
        about = {name: getattr(self, name) for name in ("recorded", "by", "served_by", "note", "keys")}
        known = {name: value for name, value in about.items() if value}
        return {"cassette": FORMAT, **known, "interactions": [i.to_dict() for i in self.interactions]}

    def write(self, path: Path, secrets: Secrets) -> None:
        """Write the file, at once or not at all.

        Raises:
            SecretFoundError: It would hold a secret; nothing is written.
        """
        document = self.to_dict()
        text = _HEAD + dump_yaml(document)
        secrets.check(document, text, path.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".tmp")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    @classmethod
    def read(cls, path: Path) -> Tape:
        """Read a file of ours, or of vcrpy's.

        Raises:
            ConfigurationError: It is neither.
        """
        document = load_yaml(path.read_text(encoding="utf-8"))
        if not isinstance(document, Mapping) or "interactions" not in document:
            raise ConfigurationError(f"{path.name} is not a cassette")
        if document.get("cassette") is None:
            return cls([_from_vcr(item) for item in document["interactions"]])
        if document["cassette"] != FORMAT:
            raise ConfigurationError(f"{path.name} has format {document['cassette']}; known: {FORMAT}")
        about = {name: document.get(name) for name in ("recorded", "served_by", "note")}
        interactions = [Interaction(**item) for item in document["interactions"]]
        return cls(interactions, by=document.get("by", ""), keys=list(document.get("keys") or ()), **about)


def _from_vcr(item: Mapping[str, Any]) -> Interaction:
    request, response = item["request"], item["response"]
    headers = {name.casefold(): _first(values) for name, values in response.get("headers", {}).items()}
    body = response.get("body", {}).get("string", "")
    return Interaction(
        vendor=urlsplit(request["uri"]).hostname or "",
        request={
            "method": request["method"],
            "url": request["uri"],
            "headers": {},
            "body": _json_or_text(request.get("body")),
        },
        response={
            "status": response["status"]["code"],
            "headers": {n: v for n, v in headers.items() if n not in {"content-length", "transfer-encoding"}},
            "text": body.decode("utf-8", "replace") if isinstance(body, bytes) else body,
        },
    )


def _first(values: Any) -> str:
    return str(values[0] if isinstance(values, Sequence) and not isinstance(values, str) else values)


def _json_or_text(body: Any) -> Any:
    if body is None:
        return None
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body)
    try:
        return loads(text)
    except ValueError:
        return text


# -- YAML --------------------------------------------------------------------------------------------


class _Line(dict[str, Any]):
    """A mapping that is written on one line."""


def dump_yaml(document: Mapping[str, Any]) -> str:
    """Return readable YAML: long texts as blocks, each event of a stream on one line."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: Any, value: str) -> Any:
        # YAML's plain and block styles take these for ends of lines.
        odd = any(mark in value for mark in "\r\x85\u2028\u2029\ufeff")
        style = '"' if odd else "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    def line(dumper: Any, value: _Line) -> Any:
        return dumper.represent_mapping("tag:yaml.org,2002:map", value.items(), flow_style=True)

    def sequence(dumper: Any, value: list[Any]) -> Any:
        flat = all(isinstance(item, int) for item in value)
        return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=flat)

    Dumper.add_representer(str, text)
    Dumper.add_representer(_Line, line)
    Dumper.add_representer(list, sequence)
    marked = {**document, "interactions": [_lined(item) for item in document["interactions"]]}
    return yaml.dump(marked, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=1 << 30)


def _lined(interaction: Mapping[str, Any]) -> dict[str, Any]:
    response = dict(interaction["response"])
    for name in ("events", "lines"):
        if name in response:
            response[name] = [_Line(x) if isinstance(x, dict) else x for x in response[name]]
    return {**interaction, "response": response}


def load_yaml(text: str) -> Any:
    """Return the document in a YAML text."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def merged(old: Iterable[Interaction], new: Iterable[Interaction]) -> list[Interaction]:
    """Return both, without those new ones that are among the old."""
    kept = list(old)
    known = [item.to_dict() for item in kept]
    return [*kept, *(item for item in new if item.to_dict() not in known)]
