"""Media types as the standard spells them, and as the first bytes of images show them."""

from __future__ import annotations

from collections.abc import Mapping

MEDIA = frozenset({"image", "audio", "video", "file"})
"""Types of the blocks that hold media."""
_PREFERRED: Mapping[str, str] = {
    "image/jpg": "image/jpeg",
    "image/jpe": "image/jpeg",
    "image/jfif": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-jpeg": "image/jpeg",
    "image/x-jpg": "image/jpeg",
    "image/x-citrix-jpeg": "image/jpeg",
    "image/x-png": "image/png",
    "image/x-citrix-png": "image/png",
    "image/apng": "image/png",
    "image/x-gif": "image/gif",
    "image/x-webp": "image/webp",
    "image/x-bmp": "image/bmp",
    "image/x-ms-bmp": "image/bmp",
    "image/tif": "image/tiff",
    "image/x-tiff": "image/tiff",
    "image/svg": "image/svg+xml",
    "audio/mp3": "audio/mpeg",
    "audio/mpeg3": "audio/mpeg",
    "audio/mpg": "audio/mpeg",
    "audio/x-mp3": "audio/mpeg",
    "audio/x-mpeg": "audio/mpeg",
    "audio/x-mpeg-3": "audio/mpeg",
    "audio/wave": "audio/wav",
    "audio/x-wav": "audio/wav",
    "audio/x-pn-wav": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/x-aiff": "audio/aiff",
    "audio/aif": "audio/aiff",
    "audio/x-flac": "audio/flac",
    "audio/x-aac": "audio/aac",
    "audio/x-ogg": "audio/ogg",
    "audio/x-m4a": "audio/mp4",
    "audio/m4a": "audio/mp4",
    "video/mov": "video/quicktime",
    "video/x-mp4": "video/mp4",
    "video/mpg": "video/mpeg",
    "video/avi": "video/x-msvideo",
    "application/x-pdf": "application/pdf",
    "application/acrobat": "application/pdf",
    "text/pdf": "application/pdf",
    "text/x-pdf": "application/pdf",
    "text/md": "text/markdown",
    "text/x-markdown": "text/markdown",
}
_FIRST_BYTES: Mapping[str, str] = {
    "iVBORw0KGgo": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
}
"""The base64 forms of images' first bytes."""


def standard_type(mime: str) -> str:
    """Return a media type in its standard spelling: lower case, without parameters, no nickname.

    A raw audio type keeps its parameters, which are needed to read it.
    """
    plain = mime.partition(";")[0].strip().lower()
    if plain in {"audio/l16", "audio/pcm"}:
        return mime.strip()
    return _PREFERRED.get(plain, plain)


def shown_type(data: str) -> str | None:
    """Return the type of the image in a base64 text, by its first bytes; None if they show none."""
    return next((mime for start, mime in _FIRST_BYTES.items() if data.startswith(start)), None)
