"""What a page is made of, as a browser reads it."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import urlsplit

from werkzeug.test import TestResponse

from tests.unit.doors.world import World

ADDRESSES = {
    "href",
    "src",
    "action",
    "formaction",
    "srcset",
    "poster",
    "data",
    "cite",
    "background",
}
Attributes = dict[str, str]


class Page(HTMLParser):
    """Tags in order, their attributes, and all text, outside and inside attributes."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, Attributes]] = []
        self.skeleton: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.tags.append((tag, attributes))
        self.skeleton.append(f"<{tag} {' '.join(sorted(name for name, _value in attrs))}>")
        self.texts.extend(attributes.values())

    def handle_endtag(self, tag: str) -> None:
        self.skeleton.append(f"</{tag}>")

    def handle_comment(self, data: str) -> None:
        self.skeleton.append("<!-- -->")

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return "\n".join(self.texts)

    def addresses(self) -> list[tuple[str, Attributes, str]]:
        """Every address: the tag, its attributes, the address."""
        return [
            (tag, attributes, attributes[name])
            for tag, attributes in self.tags
            for name in ADDRESSES & set(attributes)
        ]


def leaves(address: str) -> bool:
    """Whether following the link ends on another site, at once or by a redirect of ours."""
    parts = urlsplit(address)
    return parts.netloc not in ("", "localhost") or parts.path.endswith("/chat")


def followed(world: World, role: str, response: TestResponse) -> TestResponse:
    """The page a 303 leads to, with the messages for it."""
    assert response.status_code == 303
    cookies = [c.partition(";")[0] for c in response.headers.getlist("Set-Cookie")]
    headers = {"Cookie": cookies[-1]} if cookies else {}
    return world.ask(role, "GET", response.headers["Location"], headers=headers)
