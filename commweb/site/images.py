"""Pictures that people upload: believed only after they were decoded."""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass

from flask_babel import gettext
from PIL import Image, UnidentifiedImageError

__all__ = ["CheckedImage", "ImageError", "check_image"]

MEDIA_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}
MAX_PIXELS = 16_000_000


class ImageError(ValueError):
    """The file is no picture the site takes; the message is for the person."""


@dataclass(frozen=True)
class CheckedImage:
    """A picture that could be decoded. ``digest`` is the SHA-256 of ``data`` in hex."""

    media_type: str
    digest: str
    data: bytes


def check_image(data: bytes, max_bytes: int) -> CheckedImage:
    """The picture with its real media type, whatever its file was called. Raises `ImageError`."""
    if len(data) > max_bytes:
        raise ImageError(
            gettext(
                "The image is too large. Use at most %(size)d MB.",
                size=max_bytes // (1024 * 1024),
            )
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            media_type = _decode(data)
    except ImageError:
        raise
    except (
        UnidentifiedImageError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
        OSError,
        SyntaxError,
        ValueError,
    ):
        raise ImageError(
            gettext("This is not an image the site can read. Use PNG, JPEG, WebP or GIF.")
        ) from None
    return CheckedImage(media_type, hashlib.sha256(data).hexdigest(), data)


def _decode(data: bytes) -> str:
    with Image.open(io.BytesIO(data), formats=tuple(MEDIA_TYPES)) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ImageError(gettext("The image has too many pixels. Use at most 4000 by 4000."))
        image.load()
        return MEDIA_TYPES[image.format or ""]
