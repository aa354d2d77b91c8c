"""Spellings of media types."""

from __future__ import annotations

from langchain_llmdispatch.vendors.history.blocks import input_blocks
from langchain_llmdispatch.vendors.history.media_types import shown_type, standard_type
from tests.cases import each

_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@each(
    ("given", "made"),
    [
        ("image/jpg", "image/jpeg"),
        ("IMAGE/PNG", "image/png"),
        ("image/pjpeg", "image/jpeg"),
        ("image/png; charset=binary", "image/png"),
        (" Image/JPEG ", "image/jpeg"),
        ("audio/mp3", "audio/mpeg"),
        ("audio/x-wav", "audio/wav"),
        ("audio/L16;rate=24000", "audio/L16;rate=24000"),
        ("application/x-pdf", "application/pdf"),
        ("image/heic", "image/heic"),
    ],
)
def test_a_type_has_one_spelling(given: str, made: str) -> None:
    """Lower case, no parameters but those of raw audio, no nickname; others stay."""
    assert standard_type(given) == made
    assert standard_type(made) == made


@each(
    "block",
    [
        {"type": "image", "base64": _PIXEL, "mime_type": "IMAGE/X-PNG"},
        {"type": "image", "base64": _PIXEL},
        {"type": "image", "base64": f"{_PIXEL[:20]}\n{_PIXEL[20:]}", "mime_type": "image/png"},
        {"type": "file", "base64": _PIXEL, "mime_type": "Image/PNG"},
        {"type": "image", "source_type": "base64", "data": _PIXEL, "mime_type": "image/PNG"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/PNG", "data": _PIXEL}},
        {"type": "image_url", "image_url": {"url": f"data:IMAGE/PNG;base64,{_PIXEL}"}},
        {"type": "image_url", "image_url": f"DATA:image/png;name=a.png;BASE64,{_PIXEL}"},
        {"type": "media", "mime_type": "image/PNG", "data": _PIXEL},
        {"type": "input_image", "image_url": f"data:image/png;base64,{_PIXEL}"},
    ],
)
def test_every_form_of_an_image_says_what_it_is(block: dict[str, object]) -> None:
    """By its bytes if it states nothing; white space in the bytes goes."""
    (made,) = input_blocks([block])
    assert (made["type"], made["mime_type"], made["base64"]) == ("image", "image/png", _PIXEL)


def test_bytes_show_images_only() -> None:
    """What they do not show is taken as stated."""
    assert shown_type("/9j/4AAQ") == "image/jpeg"
    assert shown_type("aGk=") is None
    (made,) = input_blocks([{"type": "audio", "base64": "aGk=", "mime_type": "audio/MP3"}])
    assert made["mime_type"] == "audio/mpeg"


def test_data_urls_without_base64_are_read() -> None:
    """As browsers write them for text."""
    (made,) = input_blocks([{"type": "file", "url": "data:text/plain,hello%20world"}])
    assert made == {"type": "text-plain", "mime_type": "text/plain", "text": "hello world"}
