"""A provider of somebody else's, with an API key of its own: nothing of it is thrown away, nothing
of it is shown, and it is offered only what it can do."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from wtforms import PasswordField

from commweb.encryption import Sealer, Secret
from commweb.errors import EncryptionError, MisuseError, UnknownSetting
from commweb.fields import RequiredSecret, SecretField, StringField
from commweb.providers import Registry
from commweb.providers.base import ProviderContext
from commweb.rekey import rekey
from commweb.settings import Setting
from tests.contract.thirdparty.provider import BoardsForm, BoardsProvider
from tests.contract.thirdparty.server import BoardServer
from tests.embedding.visiting import Open, Visitor, links, open_college, shown

KEY = "planted-api-key-1f7c"
OTHER_KEY = "planted-api-key-2e9a"
SIGNING = "planted-signing-key-77"
SERVER = "https://boards.example"
PAGE = "/communication/admin/communication/providers/boards"


@pytest.fixture
def server() -> BoardServer:
    return BoardServer(KEY)


@pytest.fixture
def college(tmp_path: Path, server: BoardServer) -> Iterator[Open]:
    registry = Registry([BoardsProvider(server)])
    with open_college(tmp_path / "college", registry=registry) as made:
        yield made


@pytest.fixture
def agnes(college: Open) -> Visitor:
    return Visitor(college, "agnes")


def context(college: Open) -> ProviderContext:
    with college.app.app_context():
        provider = college.state.registry.get("boards")
        assert provider is not None
        return college.state.context(provider)


def kept(college: Open) -> dict[str, str]:
    return {name: secret.reveal() for name, secret in context(college).secrets.items()}


def rows(college: Open) -> list[tuple[Any, ...]]:
    """The stored secrets as they lie in the database."""
    with closing(sqlite3.connect(Path(college.app.instance_path) / "college.db")) as connection:
        query = "SELECT key, value FROM commweb_setting WHERE scope LIKE 'secret.%' ORDER BY key"
        return connection.execute(query).fetchall()


def test_what_is_typed_reaches_the_provider_and_its_server(
    college: Open, agnes: Visitor, server: BoardServer
) -> None:
    saved = agnes.send(PAGE, server=SERVER, api_key=KEY, signing_key=SIGNING)
    assert saved.status_code == 303
    assert kept(college) == {"api_key": KEY, "signing_key": SIGNING}
    page = agnes.get(saved.headers["Location"])
    assert "Changes saved" in shown(page)
    assert "The board server takes the API key." in shown(page)
    assert server.seen == [KEY]
    assert "A token is stored since" in shown(page)


def test_a_required_secret_is_required_until_it_is_stored_and_then_blank_keeps_it(
    college: Open, agnes: Visitor
) -> None:
    first = agnes.send(PAGE, server=SERVER)
    assert first.status_code == 422
    assert shown(first).count("This field is required.") == 1
    assert 'aria-required="true"' in first.text
    agnes.send(PAGE, server=SERVER, api_key=KEY, signing_key=SIGNING)
    assert agnes.send(PAGE, server=SERVER, api_key="", signing_key="").status_code == 303
    assert kept(college) == {"api_key": KEY, "signing_key": SIGNING}
    assert agnes.send(PAGE, api_key=OTHER_KEY).status_code == 303
    assert kept(college) == {"api_key": OTHER_KEY, "signing_key": SIGNING}


def test_another_server_never_gets_the_stored_secrets(college: Open, agnes: Visitor) -> None:
    agnes.send(PAGE, server=SERVER, api_key=KEY, signing_key=SIGNING)
    changed = agnes.send(PAGE, server="https://other.example")
    assert changed.status_code == 422
    assert f"belongs to {SERVER}" in shown(changed)
    assert kept(college) == {"api_key": KEY, "signing_key": SIGNING}
    assert agnes.send(PAGE, server="https://other.example", api_key=OTHER_KEY).status_code == 303
    assert kept(college) == {"api_key": OTHER_KEY}
    assert [name for name, _value in rows(college)] == ["api_key"]


def test_a_form_that_is_refused_asks_for_the_secret_again_and_keeps_nothing(
    college: Open, agnes: Visitor
) -> None:
    refused = agnes.send(PAGE, server="nonsense", api_key=KEY)
    assert refused.status_code == 422
    assert "Enter the token again." in shown(refused)
    assert rows(college) == []


def test_a_copied_installation_does_not_use_the_secrets_of_the_original(
    college: Open, agnes: Visitor, tmp_path: Path, server: BoardServer
) -> None:
    agnes.send(PAGE, server=SERVER, api_key=KEY)
    copied = Registry([BoardsProvider(server)])
    (tmp_path / "copy").mkdir()
    original = tmp_path / "college" / "college.db"
    with open_college(tmp_path / "copy", registry=copied, COMMWEB_INSTANCE="copy") as copy:
        # Its own database is replaced with the original's.
        with (
            closing(sqlite3.connect(original)) as old,
            closing(sqlite3.connect(tmp_path / "copy" / "college.db")) as new,
        ):
            old.backup(new)
        assert kept(copy) == {}
        with copy.app.app_context():
            provider = copy.state.registry.get("boards")
            assert provider is not None
            assert not copy.state.provider_state(provider).configured


def test_rekey_seals_them_with_the_new_key(
    college: Open, agnes: Visitor, tmp_path: Path, server: BoardServer
) -> None:
    agnes.send(PAGE, server=SERVER, api_key=KEY, signing_key=SIGNING)
    old, new = college.app.config["COMMWEB_SECRET_KEYS"], Fernet.generate_key().decode()
    before = rows(college)
    college.state.sealer = Sealer([new, old])
    assert college.run("commweb", "rekey").strip() == "2 secrets sealed again."
    assert all(one != two for one, two in zip(before, rows(college), strict=True))
    college.state.sealer = Sealer([new])
    assert kept(college) == {"api_key": KEY, "signing_key": SIGNING}
    college.state.sealer = Sealer([old])
    assert kept(college) == {}


def test_rekey_changes_nothing_when_one_cannot_be_opened(college: Open, agnes: Visitor) -> None:
    agnes.send(PAGE, server=SERVER, api_key=KEY)
    before = rows(college)
    college.state.sealer = Sealer([Fernet.generate_key().decode()])
    with college.app.app_context(), pytest.raises(EncryptionError):
        rekey(college.state)
    assert rows(college) == before


def test_a_planted_secret_is_found_nowhere_but_sealed_and_at_its_server(
    college: Open, agnes: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    pages = [agnes.send(PAGE, server="nonsense", api_key=KEY, signing_key=SIGNING).text]
    saved = agnes.send(PAGE, server=SERVER, api_key=KEY, signing_key=SIGNING)
    pages += [saved.headers["Location"], agnes.get(saved.headers["Location"]).text]
    college.write("Astronomy", "cuthbert")
    pages.append(college.run("commweb", "sync"))
    pages.append(college.run("commweb", "check", "--provider", "boards"))
    pages += [agnes.get(url).text for url in links(agnes.get(PAGE)) if "/admin/" in url]
    told = context(college)
    pages += [repr(told), str(told), repr(told.secrets), caplog.text]
    with closing(sqlite3.connect(Path(college.app.instance_path) / "college.db")) as connection:
        pages += list(connection.iterdump())
    for planted in (KEY, SIGNING):
        assert not [page for page in pages if planted in page]
    assert any("settings.saved" in page for page in pages), "the audit trail was read"
    assert any('"replaced": ["api_key", "signing_key"]' in page for page in pages)


def test_only_what_it_can_do_is_offered_and_the_rest_is_not_there(
    college: Open, agnes: Visitor
) -> None:
    agnes.send(PAGE, server=SERVER, api_key=KEY)
    page = shown(agnes.get(PAGE))
    assert "Test connection" in page
    for absent in ("Sign in to get tokens", "Clear tokens", "No tokens", "Lift limits"):
        assert absent not in page
    for path in ("sign-in", "lift-limits"):
        assert agnes.get(f"{PAGE}/{path}").status_code == 404
        assert agnes.send(PAGE, to=f"{PAGE}/{path}").status_code == 404
    assert agnes.send(PAGE, to=f"{PAGE}/test").status_code == 303


def test_its_secrets_are_cleared_by_a_button_that_asks_first(
    college: Open, agnes: Visitor, server: BoardServer
) -> None:
    agnes.send(PAGE, server=SERVER, api_key=KEY, signing_key=SIGNING)
    asked = agnes.get(f"{PAGE}/clear-tokens")
    assert "The stored secrets of Boards are forgotten." in shown(asked)
    assert kept(college)
    for _twice in range(2):
        done = agnes.send(f"{PAGE}/clear-tokens" if kept(college) else PAGE, f"{PAGE}/clear-tokens")
        assert "The secrets are cleared." in shown(agnes.get(done.headers["Location"]))
    assert (kept(college), rows(college)) == ({}, [])
    assert "No secrets are stored." in shown(agnes.get(f"{PAGE}/clear-tokens"))
    assert agnes.send(PAGE, server=SERVER).status_code == 422


def test_its_rooms_equal_their_courses_with_numbers_for_people_and_without_levels(
    college: Open, agnes: Visitor, server: BoardServer
) -> None:
    agnes.send(PAGE, server=SERVER, api_key=KEY)
    number = college.write("Astronomy", "cuthbert", "bede")
    for _twice in range(2):
        college.run("commweb", "sync")
    (board,) = server.boards.values()
    assert board.name == "Astronomy"
    assert len(board.people) == 4
    assert all(person.isdecimal() for person in board.people)
    assert "nothing to do" in college.run("commweb", "plan", number)
    assert set(server.seen) == {KEY}
    chat = agnes.get(f"/communication/courses/{number}/chat")
    assert chat.headers["Location"] == f"{SERVER}/b/{board.number}"


def test_a_script_stores_them_by_name_and_no_others(college: Open) -> None:
    from tests.embedding.college import comm

    with college.app.app_context():
        comm.configure("boards", {"server": SERVER}, secrets={"api_key": KEY})
        with pytest.raises(UnknownSetting, match="No such secret of boards: apikey"):
            comm.configure("boards", {"server": "https://x.example"}, secrets={"apikey": KEY})
    assert kept(college) == {"api_key": KEY}


def declaring(**made: Any) -> type[BoardsProvider]:
    """The provider with a settings form and attributes of its own."""
    fields = made.pop("fields", {})
    form = type("Declared", (BoardsForm,), fields)
    return type("Declared", (BoardsProvider,), {"settings_form": lambda _self: form, **made})


WRONG = {
    "a secret among the settings": (
        declaring(settings=(*BoardsProvider.settings, Setting("api_key", ""))),
        "keeps its secret 'api_key' among its settings: take it out",
    ),
    "a field that is no setting": (
        declaring(fields={"nickname": StringField("Nickname")}),
        r"keeps 'nickname' nowhere: add Setting\('nickname', ...\) to settings",
    ),
    "a password that would be readable": (
        declaring(
            fields={"passphrase": PasswordField("Passphrase")},
            settings=(*BoardsProvider.settings, Setting("passphrase", "")),
        ),
        "would keep 'passphrase' readably: use commweb.fields.SecretField",
    ),
    "a name that does not fit": (
        declaring(fields={"k" * 65: SecretField("Key", validators=[RequiredSecret()])}),
        "has a field with a name of over 64 characters",
    ),
    "a name the page uses": (
        declaring(fields={"confirmed": SecretField("Confirmed")}),
        "cannot name a field 'confirmed', which the page uses",
    ),
    "tokens without a session": (
        declaring(sign_in=lambda *_given: None),
        r"has sign_in\(\) but no session to keep: set has_session = True",
    ),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_provider_whose_fields_would_be_lost_or_shown_is_refused_at_start(
    tmp_path: Path, wrong: tuple[type[BoardsProvider], str]
) -> None:
    kind, sentence = wrong
    registry = Registry([kind(BoardServer())])
    with (
        pytest.raises(MisuseError, match=f"The settings form of the provider 'boards' {sentence}"),
        open_college(tmp_path / "college", registry=registry),
    ):
        pass


def test_the_secrets_of_a_context_do_not_show_themselves() -> None:
    told = ProviderContext({}, None, None, "", {"api_key": Secret(KEY)})  # type: ignore[arg-type]
    assert KEY not in f"{told!r} {told} {told.secrets}"
