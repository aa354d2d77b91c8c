"""Parts of messages: texts, media and files as the OpenAI family's APIs spell them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from langchain_llmdispatch.errors import UnsupportedFeatureError
from langchain_llmdispatch.vendors.history.owners import OPENAI_ITEMS

Json: TypeAlias = dict[str, Any]

_AUDIO_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav", "x-m4a": "m4a"}


def part_by(builders: Mapping[str, Callable[[Json], Json]], block: Json, api: str) -> Json:
    """Return a block as a part of a message, by its type.

    Args:
        builders: What makes a part, by the block's type.
        block: The block.
        api: The API and its verb, for the message: `chat completions take`.

    Raises:
        UnsupportedFeatureError: The API takes no such block.
    """
    build = builders.get(block["type"])
    if build is None:
        raise UnsupportedFeatureError(f"{api} no {block['type']!r} block")
    return build(block)


def chat_part(block: Json) -> Json:
    """Return a block as a part of a chat completion's message.

    Raises:
        UnsupportedFeatureError: Chat completions take no such block.
    """
    return part_by(_PARTS, block, "chat completions take")


def _text(block: Json) -> Json:
    part: Json = {"type": "text", "text": block["text"]}
    # OpenAI's and OpenRouter's prompt cache markers ride on text parts.
    for name in ("prompt_cache_breakpoint", "cache_control"):
        if (mark := extra_of(block, name)) is not None:
            part[name] = mark
    return part


def extra_of(block: Json, name: str) -> Any:
    """Return a block's value under `name`, directly or in its extras."""
    return block[name] if name in block else (block.get("extras") or {}).get(name)


def data_url(block: Json) -> str:
    """Return the block's URL, or its bytes as a data URL.

    Raises:
        UnsupportedFeatureError: It holds neither.
    """
    if url := block.get("url"):
        return str(url)
    if data := block.get("base64"):
        return f"data:{block.get('mime_type', 'application/octet-stream')};base64,{data}"
    raise UnsupportedFeatureError(f"a {block['type']} needs a URL or bytes here")


def _image(block: Json) -> Json:
    image: Json = {"url": data_url(block)}
    if detail := extra_of(block, "detail"):
        image["detail"] = detail
    return {"type": "image_url", "image_url": image}


def _video(block: Json) -> Json:
    return {"type": "video_url", "video_url": {"url": data_url(block)}}


def input_audio(block: Json) -> Json:
    """Return an audio block as `input_audio`, which both APIs spell alike.

    Raises:
        UnsupportedFeatureError: It holds no bytes.
    """
    if not (data := block.get("base64")):
        raise UnsupportedFeatureError("audio must be given as bytes here, not by URL")
    kind = str(block.get("mime_type", "audio/wav")).rpartition("/")[2]
    return {
        "type": "input_audio",
        "input_audio": {"data": data, "format": _AUDIO_FORMATS.get(kind, kind)},
    }


def file_of(block: Json) -> Json:
    """Return a file by id or by bytes, as both APIs name its fields.

    Raises:
        UnsupportedFeatureError: It is given by URL.
    """
    if file_id := block.get("file_id"):
        return {"file_id": file_id}
    if not block.get("base64"):
        raise UnsupportedFeatureError("files must be given as bytes or by id here, not by URL")
    # A name is mandatory beside bytes; OpenAI reads the kind off its ending.
    kind = str(block.get("mime_type", "application/pdf")).rpartition("/")[2]
    name = extra_of(block, "filename") or extra_of(block, "name") or f"file.{kind}"
    return {"filename": name, "file_data": data_url(block)}


def _native(block: Json) -> Json:
    """Return a part that the caller wrote in the family's own form.

    Raises:
        UnsupportedFeatureError: It is an input item of the Responses API.
    """
    if block["value"].get("type") in OPENAI_ITEMS:
        raise UnsupportedFeatureError(f"chat completions take no {block['value']['type']!r} item")
    return dict(block["value"])


_PARTS: dict[str, Callable[[Json], Json]] = {
    "text": _text,
    "text-plain": lambda block: {"type": "text", "text": block.get("text", "")},
    "image": _image,
    "audio": input_audio,
    "video": _video,
    "file": lambda block: {"type": "file", "file": file_of(block)},
    "non_standard": _native,
}
