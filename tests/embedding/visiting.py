"""The college opened for a test, and somebody who visits it with a browser without scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from html import unescape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from commweb.providers import Registry
from commweb.state import State, state_of
from tests.embedding.college import comm, create_app, db
from tests.embedding.college.models import Paper, Scholar, Seat
from tests.embedding.college.views import settle, write_paper
from tests.simulated import SimulatedProvider, SimulatedServer

LINK = re.compile(r'(?:href|src|action|formaction|data-commweb-poll|data-commweb-chat)="([^"]*)"')


@dataclass
class Open:
    """The college, open: the app and the homeserver of its provider."""

    app: Flask
    server: SimulatedServer

    @property
    def state(self) -> State:
        return state_of(self.app)

    def write(self, title: str, *handles: str) -> str:
        """A paper with these people besides Agnes; its id."""
        with self.app.app_context():
            paper = write_paper(title)
            for handle in handles:
                scholar = db.session.scalars(select(Scholar).filter_by(handle=handle)).one()
                db.session.add(Seat(paper_number=paper.number, scholar_id=scholar.id))
            comm.course_changed(str(paper.number))
            db.session.commit()
            return str(paper.number)

    def papers(self) -> list[str]:
        with self.app.app_context():
            return list(db.session.scalars(select(Paper.title)))

    def run(self, *words: str) -> str:
        """The output of a command that ends well."""
        result = self.app.test_cli_runner().invoke(args=list(words))
        assert result.exit_code == 0, result.output
        return str(result.output)


@contextmanager
def open_college(
    folder: Path, *, registry: Registry | None = None, on: bool = True, **given: Any
) -> Iterator[Open]:
    """The college with its tables and people, and a provider of its own unless ``registry``."""
    folder.mkdir(exist_ok=True)
    for name, content in _settled().items():
        (folder / name).write_bytes(content)
    server = SimulatedServer()
    own = Registry([SimulatedProvider(server)])
    given.setdefault("TESTING", True)
    app = create_app(folder, registry=own if registry is None else registry, **given)
    try:
        if not on:
            with app.app_context():
                comm.set_enabled(False)
        yield Open(app, server)
    finally:
        close(app)


@lru_cache
def _settled() -> dict[str, bytes]:
    """The database files of a college whose people came, made once and then copied."""
    with TemporaryDirectory() as folder:
        app = create_app(Path(folder), registry=Registry([]))
        try:
            with app.app_context():
                db.create_all()
                comm.upgrade()
                settle()
        finally:
            close(app)
        return {file.name: file.read_bytes() for file in Path(folder).glob("*.db")}


def close(app: Flask) -> None:
    """Give every connection back."""
    state_of(app).queue.close()
    state_of(app).database.dispose()
    with app.app_context():
        db.session.remove()
        for engine in db.engines.values():
            engine.dispose()


@dataclass
class Visitor:
    """A browser without scripts; ``root`` is where the whole site is mounted (SCRIPT_NAME)."""

    college: Open
    handle: str | None = None
    root: str = ""
    language: str = "en"
    client: Any = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.college.app.test_client()
        if self.handle:
            entered = self.send(f"{self.root}/door", handle=self.handle)
            assert entered.status_code == 303, entered.text

    def ask(self, method: str, url: str, **more: Any) -> TestResponse:
        assert url.startswith(f"{self.root}/"), f"{url} leads out of the site"
        response: TestResponse = self.client.open(
            url.removeprefix(self.root),
            method=method,
            base_url=f"http://localhost{self.root}",
            headers={"Accept-Language": self.language, **more.pop("headers", {})},
            **more,
        )
        return response

    def get(self, url: str) -> TestResponse:
        return self.ask("GET", url)

    def post(self, url: str, **data: str) -> TestResponse:
        """Send exactly this."""
        return self.ask("POST", url, data=data)

    def send(self, page: str, to: str | None = None, **typed: str | None) -> TestResponse:
        """Fill in the form of ``page`` (None: unchecked) and send it."""
        values: dict[str, str | None] = form_values(self.get(page).text) | typed
        return self.post(to or page, **{k: v for k, v in values.items() if v is not None})


def form_values(page: str) -> dict[str, str]:
    """What a browser would send for the inputs of a page."""
    values = {}
    for tag in re.findall(r"<input[^>]*>", page):
        attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if attributes.get("type") == "checkbox" and not re.search(r"\bchecked\b", tag):
            continue
        values[attributes["name"]] = unescape(attributes.get("value", ""))
    return values


def links(response: TestResponse) -> list[str]:
    """Every address in a page."""
    return [unescape(url) for url in LINK.findall(response.text)]


def shown(response: TestResponse) -> str:
    """A page's text as people read it."""
    text = re.sub(r"<(script|style).*?</\1>", "", response.text, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", text)))
