"""Text that breaks careless code, and how to send it as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote_from_bytes

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from tests.unit.doors.table import Row
from tests.unit.doors.world import World

FORM = "application/x-www-form-urlencoded"
PARTS = "multipart/form-data; boundary=edge"
NASTY = (
    "",
    " ",
    "\x00",
    "a\x00b",
    "\ud800",
    "a\udfff\ud800b",
    "\u202egnp.exe\u2066\u200f",
    "\ufeff\u2028\u2029\x85",
    "a\r\nSet-Cookie: x=y",
    '"><script>alert(1)</script>',
    "'; DROP TABLE person; --",
    "1 OR 1=1",
    "%' ESCAPE '!' --",
    "{{7*7}}{% raw %}${7*7}<%= 7 %>",
    "%(name)s %s %n {0} {reason}",
    "../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "javascript:alert(1)",
    "http://[::1",
    "http://\u202ex.test\uff0fy",
    "https://x.test:99999/",
    "null",
    "[]",
    "{}",
    "-1",
    "0",
    "١٢٣",
    "1e309",
    "9" * 400,
    "9" * 5000,
    "0x7fffffff",
    "2147483648",
    "9223372036854775808",
    "NaN",
    "true",
    "2030-13-45",
    "0000-00-00",
    "99999-01-01",
    "\U0001f600" * 255,
    "a" * 256,
    "e\u0301" * 200,
)
texts = st.sampled_from(NASTY) | st.text(st.characters(), max_size=40)
values = texts | st.tuples(texts, texts).map(list) | st.none()
bounded = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def raw(text: str) -> bytes:
    """Also text that no encoding allows."""
    return text.encode("utf-8", "surrogatepass")


def encoded(fields: Mapping[str, Any]) -> bytes:
    """A form as bytes. A list stands for a field that is sent again, None for one that is not."""
    pairs = []
    for name, value in fields.items():
        for each in value if isinstance(value, list) else [] if value is None else [value]:
            pairs.append("=".join(quote_from_bytes(raw(part)) for part in (name, str(each))))
    return "&".join(pairs).encode()


def multipart(parts: Sequence[tuple[str, str, str]]) -> bytes:
    """Parts of name, file name and content, in the order given; nothing is escaped."""
    lines = []
    for name, filename, content in parts:
        about = f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")
        lines += ["--edge", f"Content-Disposition: {about}", "", content]
    return raw("\r\n".join([*lines, "--edge--", ""]))


def role_for(row: Row) -> str:
    """Who gets farthest."""
    return "nobody" if row.rule == "/login" else "admin"


def post(world: World, row: Row, body: bytes, kind: str, **headers: str) -> TestResponse:
    """Send ``body`` as it is, as the person who gets farthest."""
    sent = {"Cookie": world.sessions[role_for(row)].cookie, **headers}
    client = world.app.test_client(use_cookies=False)
    with client.post(row.address(world), data=body, content_type=kind, headers=sent) as response:
        response.get_data()
        return response
