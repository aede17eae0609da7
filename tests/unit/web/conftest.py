"""A site with a provider whose homeserver answers what a test wants."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from commweb.connection import Session, TokenPair
from commweb.encryption import Secret
from commweb.errors import ProviderError
from commweb.fields import (
    BooleanField,
    HttpUrl,
    HttpUrlField,
    PlainText,
    RequiredSecret,
    SecretField,
    SettingsForm,
    StringField,
    required,
)
from commweb.i18n import lazy_gettext
from commweb.models import Event
from commweb.net import NetworkPolicy
from commweb.providers.base import Finding, Introduced, Provider, ProviderContext, SignedIn
from commweb.settings import Setting
from tests.sites import Site, switched_on

SETTINGS_URL = "/communication/admin/communication/providers/fake"


class FakeForm(SettingsForm):
    """The fields of a typical provider."""

    server_field = "home_server_url"
    home_server_url = HttpUrlField(
        lazy_gettext("Home server URL"),
        validators=[required(), HttpUrl()],
        description=lazy_gettext("The address of the homeserver."),
    )
    access_token = SecretField(lazy_gettext("Access token"), validators=[RequiredSecret()])
    refresh_token = SecretField(lazy_gettext("Refresh token"), validators=[RequiredSecret()])
    nickname = StringField(lazy_gettext("Nickname"), validators=[required(), PlainText()])
    create_rooms = BooleanField(lazy_gettext("Create rooms for new courses"))


class FakeProvider(Provider):
    """Counts what it is asked and answers what a test put into it."""

    id = "fake"
    name = lazy_gettext("Fake")
    has_session = True
    settings = (
        Setting("home_server_url", ""),
        Setting("nickname", ""),
        Setting("create_rooms", True),
    )

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.refusal: ProviderError | None = None
        self.checked: list[ProviderContext] = []
        self.sign_ins: list[tuple[str, str]] = []
        self.lifted = 0
        self.whose = "@bot:hs.example"
        self.ended: list[tuple[str, str, bool]] = []
        self.end_fault: ProviderError | None = None
        self.on_call = lambda: None

    def settings_form(self) -> type[SettingsForm]:
        return FakeForm

    def server_url(self, values: Mapping[str, Any]) -> str:
        return str(values["home_server_url"])

    def configured(self, values: Mapping[str, Any], has_session: bool) -> bool:
        return has_session and bool(values["home_server_url"])

    def check(self, context: ProviderContext, deadline_seconds: float) -> list[Finding]:
        self.on_call()
        assert deadline_seconds <= 10
        self.checked.append(context)
        return self.findings

    def sign_in(
        self, values: Mapping[str, Any], network: NetworkPolicy, username: str, password: Secret
    ) -> SignedIn:
        self.on_call()
        if self.refusal:
            raise self.refusal
        self.sign_ins.append((str(values["home_server_url"]), username))
        pair = TokenPair(
            Secret("signed-access"), Secret("signed-refresh"), datetime(2030, 1, 1, tzinfo=UTC), 300
        )
        return SignedIn(pair, f"@{username}:hs.example", "DEVICE")

    def introduce(
        self, server_url: str, network: NetworkPolicy, pair: TokenPair, deadline_seconds: float
    ) -> Introduced:
        self.on_call()
        return Introduced(pair, self.whose, self.whose.partition(":")[2], "DEVICE")

    def end_session(
        self,
        server_url: str,
        network: NetworkPolicy,
        pair: TokenPair,
        kept: tuple[str, TokenPair] | None,
    ) -> None:
        self.on_call()
        if self.end_fault:
            raise self.end_fault
        self.ended.append((server_url, pair.access.reveal(), kept is not None))

    def lift_limits(self, context: ProviderContext) -> None:
        self.on_call()
        if self.refusal:
            raise self.refusal
        self.lifted += 1


class PlainLink(Provider):
    """A provider without settings, which its own package could remove."""

    id = "plainlink"
    name = lazy_gettext("Plain link")
    has_rooms = False
    uninstallable = True


@dataclass
class Visitor:
    """A browser without scripts: asks for a page, fills in its form, sends it."""

    school: Site
    person: str | None = "admin"
    client: Any = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.school.app.test_client()

    @property
    def headers(self) -> dict[str, str]:
        return {"X-Person": self.person} if self.person else {}

    def get(self, url: str) -> TestResponse:
        response: TestResponse = self.client.get(url, headers=self.headers)
        return response

    def post(self, url: str, **data: str | None) -> TestResponse:
        """Send exactly ``data``, with nothing a page would have added."""
        response: TestResponse = self.client.post(url, data=data, headers=self.headers)
        return response

    def token(self, url: str) -> str:
        """The CSRF token of a page."""
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.get(url).text)
        assert found, f"{url} has no form"
        return found[1]

    def press(self, url: str, page: str) -> TestResponse:
        """Press a button of ``page`` that posts to ``url``."""
        return self.post(url, csrf_token=self.token(page))

    def send(self, page: str, to: str | None = None, **typed: str | None) -> TestResponse:
        """Fill in the form of ``page`` with ``typed`` (None: unchecked) and send it."""
        text = self.get(page).text
        values = form_values(text) | typed
        return self.post(to or page, **{k: v for k, v in values.items() if v is not None})

    def follow(self, response: TestResponse) -> str:
        """The text of the page a 303 leads to."""
        assert response.status_code == 303, response.text
        return shown(self.get(response.headers["Location"]))


def form_values(page: str) -> dict[str, str]:
    """The names and values a browser would send for the inputs of a page."""
    values = {}
    for tag in re.findall(r"<input[^>]*>", page):
        attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if attributes.get("type") == "checkbox" and not re.search(r"\bchecked\b", tag):
            continue
        values[attributes["name"]] = unescape(attributes.get("value", ""))
    return values


def shown(response: TestResponse) -> str:
    """A page's text as people read it."""
    text = re.sub(r"<(script|style).*?</\1>", "", response.text, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", text)))


def beside(response: TestResponse, field_id: str) -> str:
    """The error beside a field; empty when there is none."""
    found = re.search(rf'id="{field_id}-error">(.*?)</div>\s*</div>', response.text, re.DOTALL)
    return unescape(re.sub(r"<[^>]+>", "", found[1])).strip() if found else ""


@pytest.fixture
def fake() -> FakeProvider:
    return FakeProvider()


@pytest.fixture
def school(tmp_path: Path, fake: FakeProvider) -> Iterator[Site]:
    """A site with the subsystem turned on."""
    with switched_on(tmp_path, fake, PlainLink()) as made:
        yield made


@pytest.fixture
def admin(school: Site) -> Visitor:
    return Visitor(school)


@pytest.fixture
def configured(school: Site) -> Site:
    """The site with saved settings and a session for https://hs.example."""
    with school.app.app_context():
        school.comm.configure(
            "fake",
            {"home_server_url": "https://hs.example", "nickname": "Bot"},
            access_token="old-access",
            refresh_token="old-refresh",
        )
    return school


def session_of(school: Site, fake: FakeProvider) -> Session | None:
    with school.app.app_context():
        return school.state.tokens(fake).read()


def values_of(school: Site, fake: FakeProvider) -> dict[str, Any]:
    with school.app.app_context():
        return dict(school.state.values(fake).values)


def events(school: Site) -> list[tuple[str, str, str, dict[str, Any]]]:
    """The audit trail: actor, action, subject, detail."""
    with school.app.app_context(), school.state.database.read() as connection:
        query = select(Event.actor, Event.action, Event.subject, Event.detail).order_by(Event.id)
        return [tuple(row) for row in connection.execute(query)]
