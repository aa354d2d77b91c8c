"""Rows of a batch: where they come from, and what each one holds.

A row is a text, a list of messages, or an object: `{"id", "input", "params"}` (ours), or a line of OpenAI's
batch format, `{"custom_id", "method", "url", "body"}` (platform.openai.com/docs/guides/batch).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

from langchain_core.load.dump import default as _dumped
from langchain_core.messages import BaseMessage, convert_to_messages, messages_from_dict, messages_to_dict

from langchain_llmdispatch.errors import ConfigurationError

Source: TypeAlias = str | Path | Iterable[Any]
_OURS = frozenset({"id", "input", "params"})
_NOT_PARAMS = frozenset({"messages", "input", "model", "stream", "stream_options", "n"})


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One row of a batch.

    Attributes:
        id: The row's own id, or its number.
        text: The row as JSON, as it is kept in the journal.
    """

    id: str
    text: str

    @property
    def input(self) -> str | list[BaseMessage]:
        """The prompt or the messages of the row."""
        return _input_of(json.loads(self.text))

    @property
    def params(self) -> dict[str, Any]:
        """The keywords of the call that the row states."""
        value = json.loads(self.text)
        if not isinstance(value, Mapping):
            return {}
        if "body" in value:
            return {name: each for name, each in value["body"].items() if name not in _NOT_PARAMS}
        return dict(value.get("params") or {})


def read_rows(source: Source) -> Iterator[BatchRow]:
    """Yield the rows of a source, one at a time.

    Args:
        source: A `.jsonl` or `.parquet` file (the latter needs pyarrow), or an iterable of rows.

    Raises:
        ConfigurationError: The file is missing, or a row is malformed; the message names it.
    """
    if not isinstance(source, (str, Path)):
        yield from _rows(iter(source), "row")
        return
    with closing(_values_of(Path(source))) as values:
        yield from _rows(values, str(source))


def _rows(values: Iterator[Any], name: str) -> Iterator[BatchRow]:
    numbers = count(1)
    while True:
        number = next(numbers)
        try:
            value = next(values)
        except StopIteration:
            return
        except ValueError as error:
            raise ConfigurationError(f"{name}:{number}: is not JSON: {error}") from None
        yield _row(value, number, f"{name}:{number}")


def _values_of(path: Path) -> Generator[Any, None, None]:
    if path.suffix == ".parquet":
        return _parquet(path)
    if path.suffix not in {".jsonl", ".ndjson"}:
        raise ConfigurationError(f"{path}: rows are read from .jsonl or .parquet files.")
    try:
        return _lines(path.open(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror or error}") from None


def _lines(file: Any) -> Generator[Any, None, None]:
    with file:
        for line in file:
            if line.strip():
                yield json.loads(line)


def _parquet(path: Path) -> Generator[Any, None, None]:
    try:
        from pyarrow import parquet  # noqa: PLC0415 - only where a Parquet file is read
    except ImportError:
        raise ConfigurationError(f"{path}: reading Parquet needs pyarrow: pip install pyarrow") from None
    try:
        file = parquet.ParquetFile(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: cannot be read as Parquet: {error}") from None
    for part in file.iter_batches(batch_size=1000):
        for row in part.to_pylist():
            yield {name: value for name, value in row.items() if value is not None}


# -- one row -------------------------------------------------------------------------------------------


def _row(value: Any, number: int, where: str) -> BatchRow:
    if isinstance(value, list) and any(isinstance(item, BaseMessage) for item in value):
        value = {"input": messages_to_dict(convert_to_messages(value))}
    elif isinstance(value, Mapping) and isinstance(value.get("input"), list):
        value = {**value, "input": [_plain(item) for item in value["input"]]}
    try:
        _input_of(value)
    except (ValueError, TypeError, KeyError, NotImplementedError) as error:
        raise ConfigurationError(f"{where}: {error}") from None
    named = value if isinstance(value, Mapping) else {}
    own = named.get("id", named.get("custom_id"))
    name = str(number if own is None else own)
    if not _is_unicode(name):
        raise ConfigurationError(f"{where}: the id {name!r} is no valid Unicode.")
    return BatchRow(name, as_json(value, default=_dumped))


def as_json(value: Any, default: Callable[[Any], Any]) -> str:
    """Return JSON that has a UTF-8 form: half a surrogate pair is written as an escape."""
    text = json.dumps(value, ensure_ascii=False, default=default)
    return text if _is_unicode(text) else json.dumps(value, default=default)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _plain(item: Any) -> Any:
    return messages_to_dict([item])[0] if isinstance(item, BaseMessage) else item


def _input_of(value: Any) -> str | list[BaseMessage]:
    """Return the prompt or the messages in a row.

    Raises:
        ValueError: It holds none.
    """
    if isinstance(value, Mapping):
        if not isinstance(value.get("params") or {}, Mapping):
            raise TypeError(f"params is no object: {value['params']!r}.")
        value = _input_in(value)
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value:
        if all(isinstance(item, Mapping) and "data" in item for item in value):
            return messages_from_dict(value)
        return convert_to_messages(value)
    raise ValueError("a row is a text, a list of messages, or an object with `input`, `messages` or `body`.")


def _input_in(row: Mapping[str, Any]) -> Any:
    if "body" in row:
        body = row["body"]
        if not isinstance(body, Mapping):
            raise ValueError(f"body is no object: {body!r}.")
        if not str(row.get("url", "")).endswith("/chat/completions") or "messages" not in body:
            raise ValueError(f"only rows for /v1/chat/completions are read, not for {row.get('url')!r}.")
        return body["messages"]
    if "messages" in row:
        return row["messages"]
    if unknown := sorted(row.keys() - _OURS):
        raise ValueError(f"a row has no field {unknown[0]!r}; known are id, input, messages and params.")
    return row.get("input")
