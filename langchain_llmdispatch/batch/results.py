"""What a batch writes: a line or a row for each that ended, in the order and the format of the source."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from langchain_core.messages import BaseMessage, convert_to_openai_messages, messages_from_dict

from langchain_llmdispatch.batch.rows import BatchRow, as_json
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.vendors.batches import seconds_of

Ended: TypeAlias = tuple[BatchRow, str | None, str | None]
Sink: TypeAlias = str | Path | Callable[[dict[str, Any]], Any] | None


def check_sink(sink: Sink, source: Any = None) -> None:
    """Check that results can be written there, before anything is paid for.

    Args:
        sink: Where they are written.
        source: Where rows are read from.

    Raises:
        ConfigurationError: The folder is missing or cannot be written to, the format is unknown, the source
            would be replaced, or pyarrow is not installed.
    """
    if sink is None or callable(sink):
        return
    path = Path(sink)
    if path.suffix not in {".jsonl", ".ndjson", ".parquet"}:
        raise ConfigurationError(f"{path}: results are written to .jsonl or .parquet files.")
    if not path.parent.is_dir():
        raise ConfigurationError(f"{path}: there is no folder {path.parent}.")
    if path.suffix == ".parquet":
        _pyarrow(path)
    if isinstance(source, (str, Path)) and path.resolve() == Path(source).resolve():
        raise ConfigurationError(f"{path}: the results would replace the source.")
    try:
        with Path(f"{path}.part").open("ab"):
            pass
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder")
    except OSError as error:
        text = error.strerror or str(error)
        raise ConfigurationError(f"{path}: results cannot be written there: {text}.") from None
    finally:
        _remove_empty(Path(f"{path}.part"))


def _remove_empty(part: Path) -> None:
    with suppress(OSError):
        if part.stat().st_size == 0:
            part.unlink()


def write_results(sink: Sink, ended: Iterable[Ended]) -> None:
    """Write what has ended; a file is replaced at once, when it is whole."""
    if sink is None:
        return
    lines = (_line(*each) for each in ended)
    if callable(sink):
        for line in lines:
            sink(line)
        return
    path, part = Path(sink), Path(f"{sink}.part")
    try:
        _write(part, lines, parquet=path.suffix == ".parquet")
    except BaseException:  # a full disk: what is half written is no result
        part.unlink(missing_ok=True)
        raise
    part.replace(path)


def _write(path: Path, lines: Iterator[dict[str, Any]], *, parquet: bool) -> None:
    if parquet:
        _write_parquet(path, lines)
    else:
        with path.open("w", encoding="utf-8") as file:
            file.writelines(f"{as_json(line, default=str)}\n" for line in lines)


def _line(row: BatchRow, answer: str | None, error: str | None) -> dict[str, Any]:
    """Return one result: OpenAI's format for a row of it, or ours."""
    message = None if answer is None else json.loads(answer)
    value = json.loads(row.text)
    if isinstance(value, Mapping) and "body" in value:
        return _as_completion(row.id, message, error)
    if message is not None and "value" in message:  # of a chain, not of a model
        return {"id": row.id, "output": message["value"], "error": error}
    text = None if message is None else messages_from_dict([message])[0].text
    return {"id": row.id, "text": text, "message": message, "error": error}


def _as_completion(name: str, stored: dict[str, Any] | None, error: str | None) -> dict[str, Any]:
    if stored is None:
        return {"id": name, "custom_id": name, "response": None, "error": {"code": None, "message": error}}
    body = {"output": stored["value"]} if "value" in stored else _completion(messages_from_dict([stored])[0])
    return {
        "id": name,
        "custom_id": name,
        "response": {"status_code": 200, "request_id": body.get("id"), "body": body},
        "error": None,
    }


def _completion(message: BaseMessage) -> dict[str, Any]:
    """Return a message as a chat completion (platform.openai.com/docs/api-reference/chat/object)."""
    facts, usage = message.response_metadata, getattr(message, "usage_metadata", None)
    reason = facts.get("normalized_finish_reason") or facts.get("finish_reason")
    converted = convert_to_openai_messages(message)
    return {
        "id": facts.get("id") or message.id,
        "object": "chat.completion",
        "created": _created(facts),
        "model": facts.get("model_name"),
        "choices": [{"index": 0, "message": converted, "finish_reason": reason}],
        "usage": None
        if usage is None
        else {
            "prompt_tokens": usage["input_tokens"],
            "completion_tokens": usage["output_tokens"],
            "total_tokens": usage["total_tokens"],
        },
    }


def _created(facts: Mapping[str, Any]) -> int:
    """Return when an answer was made, in seconds since 1970; 0 if that is unknown."""
    made = facts.get("llmdispatch")
    at = seconds_of(made.get("created_at")) if isinstance(made, Mapping) else None
    return int(at or 0)


# -- Parquet -------------------------------------------------------------------------------------------


def _pyarrow(path: Path) -> Any:
    try:
        import pyarrow as pa  # noqa: PLC0415 - only where a Parquet file is written
        from pyarrow import parquet  # noqa: PLC0415 - see above
    except ImportError:
        raise ConfigurationError(f"{path}: writing Parquet needs pyarrow: pip install pyarrow") from None
    return pa, parquet


def _write_parquet(path: Path, lines: Iterator[dict[str, Any]]) -> None:
    arrow, parquet = _pyarrow(path)
    schema = arrow.schema([(name, arrow.string()) for name in _COLUMNS])
    with parquet.ParquetWriter(path, schema) as writer:
        while part := [_flat(line) for line in islice(lines, _ROW_GROUP)]:
            writer.write_table(arrow.Table.from_pylist(part, schema=schema))


def _flat(line: dict[str, Any]) -> dict[str, str | None]:
    """Return a result with what is nested as JSON."""
    values = ((name, line.get(name)) for name in _COLUMNS)
    return {name: json.dumps(each) if isinstance(each, dict | list) else each for name, each in values}


_COLUMNS, _ROW_GROUP = ("id", "text", "message", "output", "response", "error"), 1000
