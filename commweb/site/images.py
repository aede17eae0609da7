"""Pictures that people upload: drawn anew, so that only the picture itself is kept.

What a camera or a program wrote beside it (place, time, device, comments, colour profile, further
frames, bytes behind the end) is not in the picture that the site stores and hands on.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask_babel import gettext
from PIL import Image, ImageOps, UnidentifiedImageError

__all__ = ["CheckedImage", "ImageError", "check_image", "holds_more_than_a_picture"]

MEDIA_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}
MAX_PIXELS = 16_000_000
MAX_SIDE = 2000  # of what is kept; a page and a chat app show it smaller
SMALLER = 0.7
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "PNG": {"optimize": True},
    "JPEG": {"quality": 88, "optimize": True},
    "WEBP": {"quality": 88},
    "GIF": {"optimize": True},
}
BROKEN = (
    UnidentifiedImageError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
    EOFError,
    OSError,
    SyntaxError,
    ValueError,
    LookupError,
    MemoryError,
    OverflowError,
)


class ImageError(ValueError):
    """The file is no picture the site takes; the message is for the person."""


@dataclass(frozen=True)
class CheckedImage:
    """A picture that was drawn anew. ``digest`` is the SHA-256 of ``data`` in hex."""

    media_type: str
    digest: str
    data: bytes


def check_image(data: bytes, max_bytes: int) -> CheckedImage:
    """The first frame of the picture, upright, in its own format whatever its file was called.

    At most ``max_bytes`` before and after, and `MAX_SIDE` pixels each way. Raises `ImageError`.
    """
    if len(data) > max_bytes:
        raise ImageError(
            gettext(
                "The picture is too large. Use at most %(size)d MB.",
                size=max_bytes // (1024 * 1024),
            )
        )
    try:
        with warnings.catch_warnings():
            # A damaged note beside the picture is no fault of the picture.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            kind, picture = _decode(data)
            drawn = _encode(picture, kind, max_bytes)
    except ImageError:
        raise
    except BROKEN:
        raise ImageError(
            gettext("This is not an image the site can read. Use PNG, JPEG, WebP or GIF.")
        ) from None
    return CheckedImage(MEDIA_TYPES[kind], hashlib.sha256(drawn).hexdigest(), drawn)


def holds_more_than_a_picture(data: bytes) -> bool:
    """Whether something stands beside the picture that `check_image` would leave out."""
    try:
        with Image.open(io.BytesIO(data), formats=tuple(MEDIA_TYPES)) as image:
            beside = {"exif", "icc_profile", "comment", "xmp", "photoshop", "XML:com.adobe.xmp"}
            texts = getattr(image, "text", {}) if image.format == "PNG" else {}
            frames = getattr(image, "n_frames", 1) > 1
            return bool(beside & set(image.info) or texts or image.getexif() or frames)
    except BROKEN:
        return False


def _decode(data: bytes) -> tuple[str, Image.Image]:
    with Image.open(io.BytesIO(data), formats=tuple(MEDIA_TYPES)) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ImageError(gettext("The picture has too many pixels. Use at most 4000 by 4000."))
        image.load()
        kind = image.format or ""
        upright = ImageOps.exif_transpose(image)
        return kind, _bare(upright, with_alpha=kind != "JPEG")


def _bare(image: Image.Image, *, with_alpha: bool) -> Image.Image:
    """The pixels alone, as red, green and blue, with transparency where there is some."""
    if image.mode.startswith(("I", "F")):  # more than 8 bits a pixel
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    mode = "RGBA" if with_alpha and image.has_transparency_data else "RGB"
    converted = image.convert(mode)
    bare = Image.new(mode, converted.size)
    bare.paste(converted)
    return bare


def _encode(picture: Image.Image, kind: str, max_bytes: int) -> bytes:
    """The bytes of the picture, made smaller until they are few enough."""
    picture.thumbnail((MAX_SIDE, MAX_SIDE))
    while True:
        file = io.BytesIO()
        picture.save(file, kind, **OPTIONS[kind])
        if file.tell() <= max_bytes or min(picture.size) < 2:
            return file.getvalue()
        picture = picture.resize(tuple(max(1, int(side * SMALLER)) for side in picture.size))
