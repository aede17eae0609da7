"""Pictures to upload, and the form they are uploaded with."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image
from werkzeug.test import TestResponse

from tests.unit.site.conftest import Browser

EDIT = {
    "full_name": "Algebra II",
    "short_name": "ALG2",
    "summary": "More of it.",
    "visible": "y",
    "group_mode": "visible",
}


def picture(kind: str = "PNG", size: tuple[int, int] = (8, 8), **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, "#336699").save(file, kind, **options)
    return file.getvalue()


def upload(browser: Browser, data: bytes, name: str = "picture.png") -> TestResponse:
    return browser.post("/courses/1/edit", **EDIT, image=(io.BytesIO(data), name))
