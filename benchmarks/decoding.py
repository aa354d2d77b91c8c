"""How long one long frame or body takes to read, in milliseconds of CPU for a megabyte.

    python benchmarks/decoding.py [--json]      from a checkout, installed or not

A frame of each size (an image in base64, Gemini; a long tool call) arrives in pieces of 2 KB. Reading is
linear where the figures of a row are equal. Each is the best of several rounds.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
import timeit
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from langchain_core.messages import HumanMessage

sys.path.append(str(Path(__file__).parents[1]))  # where the package is not installed

from langchain_llmdispatch.framing import LineDecoder, NDJSONDecoder, SSEDecoder, parse_json
from langchain_llmdispatch.transport.unpacking import unpacker
from langchain_llmdispatch.types import Call, Endpoint
from langchain_llmdispatch.vendors import builtin_vendors

SIZES = (1, 4, 16)
PIECE = 2048
CHUNK = '{"choices":[{"index":0,"delta":{"content":"%s"}}]}'
GEMINI = '{"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"image/png","data":"%s"}}]}}]}'


def fed(decoder: Any, data: bytes) -> None:
    """Feed `data` in pieces."""
    for start in range(0, len(data), PIECE):
        decoder.feed(data[start : start + PIECE])


def stream(vendor: str, data: bytes) -> None:
    """Decode `data` as a stream of this vendor."""
    call = Call("m", Endpoint("https://vendor.test"), [HumanMessage("Hi")], stream=True)
    fed(builtin_vendors()[vendor].stream_decoder(call, {}), data)


def unpacked(data: bytes) -> None:
    """Unpack `data`, which is gzip."""
    unpack = unpacker({"content-encoding": "gzip"})
    if unpack is not None:
        for start in range(0, len(data), PIECE):
            for _ in unpack(data[start : start + PIECE]):
                pass


def cases(megabytes: int) -> Mapping[str, Callable[[], object]]:
    """Return what is measured for a text of this size."""
    text = "QUJDREVGRw" * (megabytes * 100_000)
    chunk, image = CHUNK % text, GEMINI % text
    event, packed = f"data: {chunk}\n\n".encode(), gzip.compress(chunk.encode())
    line = chunk.encode() + b"\n"
    return {
        "server-sent events": lambda: fed(SSEDecoder(), event),
        "lines": lambda: fed(LineDecoder(), line),
        "lines of JSON": lambda: fed(NDJSONDecoder(), line),
        "lines of data in one event": lambda: fed(SSEDecoder(), b"data: abcdefgh\n" * (len(text) // 15)),
        "parse_json, fast": lambda: parse_json(line),
        "parse_json, with a long integer": lambda: parse_json(f'[{"9" * 30},"{text}"]'),
        "gzip": lambda: unpacked(packed),
        "OpenAI's stream decoder": lambda: stream("openai", event),
        "Gemini's stream decoder": lambda: stream("google", f"data: {image}\n\n".encode()),
    }


def milliseconds(call: Callable[[], object], *, rounds: int = 7) -> float:
    """Return the best of several rounds."""
    return min(timeit.repeat(call, timer=time.process_time, number=1, repeat=rounds)) * 1e3


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    table = {size: {name: milliseconds(call) / size for name, call in cases(size).items()} for size in SIZES}
    if options.json:
        print(json.dumps(table, indent=2))
        return 0
    print(f"Python {sys.version.split()[0]}; milliseconds of CPU per megabyte, in pieces of {PIECE} bytes")
    print(f"{'':36}" + "".join(f"{size:>8} MB" for size in table))
    for name in table[SIZES[0]]:
        print(f"{name:36}" + "".join(f"{figures[name]:11.2f}" for figures in table.values()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
