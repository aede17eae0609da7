"""A browser that follows every link and presses every button of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urldefrag, urljoin, urlsplit

from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect
from werkzeug.test import TestResponse

from tests.embedding.visiting import Open, Visitor

OURS = "/communication/"


@dataclass
class Form:
    """A form of a page: where it goes, what a browser would send, and each button that sends it
    (its address and its own value)."""

    method: str
    action: str
    values: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, dict[str, str]]] = field(default_factory=list)


class Page(HTMLParser):
    """The links and forms of a page."""

    def __init__(self, url: str, text: str) -> None:
        super().__init__()
        self.url = url
        self.links: list[str] = []
        self.forms: list[Form] = []
        self._select = ""
        self._textarea = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        got = {name: value or "" for name, value in attrs}
        reader = getattr(self, f"_start_{tag}", None)
        if reader is not None:
            reader(got)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form" and self.forms and not self.forms[-1].buttons:
            self.forms[-1].buttons.append((self.forms[-1].action, {}))

    def handle_data(self, data: str) -> None:
        if self._textarea:
            self.forms[-1].values[self._textarea] = data.strip()
            self._textarea = ""

    def _start_a(self, got: Mapping[str, str]) -> None:
        self.links.append(self._url(got.get("href", "")))

    def _start_form(self, got: Mapping[str, str]) -> None:
        self.forms.append(Form(got.get("method", "get").upper(), self._url(got.get("action", ""))))

    def _start_input(self, got: Mapping[str, str]) -> None:
        unchecked = got.get("type") in ("checkbox", "radio") and "checked" not in got
        if self.forms and "name" in got and not unchecked:
            self.forms[-1].values[got["name"]] = got.get("value", "y")

    def _start_textarea(self, got: Mapping[str, str]) -> None:
        self._textarea = got.get("name", "")

    def _start_select(self, got: Mapping[str, str]) -> None:
        self._select = got["name"]

    def _start_option(self, got: Mapping[str, str]) -> None:
        if self.forms and ("selected" in got or self._select not in self.forms[-1].values):
            self.forms[-1].values[self._select] = got.get("value", "")

    def _start_button(self, got: Mapping[str, str]) -> None:
        if self.forms and got.get("type", "submit") == "submit":
            own = {got["name"]: got.get("value", "")} if "name" in got else {}
            target = self._url(got["formaction"]) if "formaction" in got else self.forms[-1].action
            self.forms[-1].buttons.append((target, own))

    def presses(self) -> list[tuple[str, dict[str, str]]]:
        """What each button of the forms that change something sends, and where to."""
        return [
            (url, {**form.values, **own})
            for form in self.forms
            if form.method == "POST"
            for url, own in form.buttons
        ]

    def _url(self, written: str) -> str:
        return urldefrag(urljoin(self.url, written)).url if written else self.url


@dataclass
class Crawler:
    """Goes through our pages as one person. ``typed`` (or what it gives when it is asked) is
    filled in by field name; ``asked`` maps
    each method and endpoint to the statuses it answered."""

    college: Open
    visitor: Visitor
    typed: Mapping[str, str | Callable[[], str]] = field(default_factory=dict)
    asked: dict[tuple[str, str], set[int]] = field(default_factory=dict)

    def read(self, starts: Iterable[str]) -> list[Page]:
        """Every page of ours that links lead to from here."""
        found: dict[str, Page] = {}
        waiting = list(starts)
        while waiting:
            url = waiting.pop()
            if url in found or not url.startswith(OURS):
                continue
            response = self._ask("GET", url)
            found[url] = Page(url, response.text if response.mimetype == "text/html" else "")
            waiting += [link for link in found[url].links if not urlsplit(link).netloc]
            waiting += [form.action for form in found[url].forms if form.method == "GET"]
            if response.headers.get("Location", "").startswith(OURS):
                waiting.append(response.headers["Location"])
        return list(found.values())

    def press_everything(self, pages: Iterable[Page], *, fill_in: bool) -> None:
        """Press every button of the pages, each on the page as it is then, and once more those of
        the page that comes back (what was wrong, or what has to be confirmed). ``fill_in``: with
        ``typed``, else with nothing where a person would have to type."""
        for page in pages:
            done: set[tuple[str, ...]] = set()
            while (found := self._next(page, done)) is not None:
                self._press(*found, fill_in)

    def _next(self, page: Page, done: set[tuple[str, ...]]) -> tuple[str, dict[str, str]] | None:
        """A button that the page has now and that was not pressed yet."""
        if page.presses():
            for url, values in Page(page.url, self._ask("GET", page.url).text).presses():
                button = (url, *sorted(values), values.get("person", ""))
                if button not in done:
                    done.add(button)
                    return url, values
        return None

    def _press(self, url: str, values: Mapping[str, str], fill_in: bool) -> None:
        response = self._send(url, values, fill_in)
        if response.status_code in (200, 422):
            for again, shown in Page(url, response.text).presses():
                self._send(again, shown, fill_in)

    def _send(self, url: str, values: Mapping[str, str], fill_in: bool) -> TestResponse:
        hand = {
            name: (text() if callable(text) else text) if fill_in else ""
            for name, text in self.typed.items()
            if name in values
        }
        return self._ask("POST", url, data={**values, **hand})

    def _ask(self, method: str, url: str, **more: Any) -> TestResponse:
        response = self.visitor.ask(method, url, **more)
        self.asked.setdefault((method, self._endpoint(method, url)), set()).add(
            response.status_code
        )
        assert response.status_code < 500, f"{method} {url}: {response.status_code}"
        return response

    def _endpoint(self, method: str, url: str) -> str:
        adapter = self.college.app.url_map.bind("localhost")
        try:
            endpoint, _values = adapter.match(urlsplit(url).path, method=method)
        except RequestRedirect:
            return "redirect"
        except HTTPException as error:
            return f"none ({error.code})"
        return str(endpoint)
