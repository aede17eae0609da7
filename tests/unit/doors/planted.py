"""Secrets that are known to the test and have to be found nowhere."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from flask import Flask
from itsdangerous import base64_decode
from werkzeug.test import TestResponse

ACCESS = "syt_planted_access_Qm9vdGhl7Kx2"
REFRESH = "syr_planted_refresh_Zw4nTb6Lp9aE"
PREVIOUS = "syr_planted_previous_Hc3vRy8MdUoJ"
FIRST_ACCESS = "syt_planted_first_Ws5eXk1QgNiF"
TYPED_ACCESS = "syt_planted_typed_Vb2sGt7YhOlC"
TYPED_REFRESH = "syr_planted_typed_Pj6uDz3KmWqA"
MATRIX_PASSWORD = "planted matrix password Ln8xEf4RcIyB"
ADMIN_PASSWORD = "planted admin password Tk9zOa5SvJwH"
PEOPLE_PASSWORD = "planted people password Mg1rNu6XdQpD"
NEW_PASSWORD = "planted new password Ye7iCb2FhLsV"
WRONG_PASSWORD = "planted wrong password Ro3tWj8GkZmU"
PROXY_PASSWORD = "planted-proxy-password-Aq5cHx9N"

PLANTED: Mapping[str, str] = {
    name.lower(): value
    for name, value in dict(globals()).items()
    if name.isupper() and isinstance(value, str)
}


def spellings(value: str) -> Iterable[bytes]:
    """As it is, for an address, for JSON, and in base64 wherever it starts."""
    data = value.encode()
    yield data
    yield value.replace(" ", "%20").encode()
    yield value.replace(" ", "+").encode()
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + data)
        # Without the ends, which depend on what stands before and after.
        yield encoded[4:-4]


SPELLINGS = {name: tuple(spellings(value)) for name, value in PLANTED.items()}


def found_in(*places: str | bytes) -> set[str]:
    """The names of the planted secrets that stand in any of ``places``."""
    data = [
        place.encode("utf-8", "replace") if isinstance(place, str) else place for place in places
    ]
    return {
        name
        for name, each in SPELLINGS.items()
        if any(spelling in place for spelling in each for place in data)
    }


def response_places(app: Flask, response: TestResponse) -> list[bytes]:
    """Everything a response tells: status line, headers, body, and what is in its cookies."""
    places = [response.status.encode(), str(response.headers).encode(), response.get_data()]
    for cookie in response.headers.getlist("Set-Cookie"):
        places.append(_opened(cookie.partition("=")[2].partition(";")[0]))
    return places


def _opened(cookie: str) -> bytes:
    """What is inside a session cookie, which is signed but not secret."""
    payload = cookie.lstrip(".").partition(".")[0]
    try:
        data = base64_decode(payload)
        return zlib.decompress(data) if cookie.startswith(".") else data
    except (ValueError, zlib.error):
        return b""


def files(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder``: databases with their journals, queues, keys."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
