"""People of ``make run`` get a chat password once commweb has created their accounts."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from commweb.site.chat_passwords import ChatPasswords
from commweb.site.homeserver_accounts import Accounts
from commweb.site.homeserver_install import HomeserverError

PASSWORD = "staple of the people"
PEOPLE = ("ada", "ben")


class Server(Accounts):
    """Stands in for the homeserver: accounts by name, and what each was given."""

    def __init__(self) -> None:
        super().__init__()
        self.accounts: dict[str, dict[str, Any]] = {}
        self.given: list[tuple[str, str]] = []
        self.asked = 0
        self.down = False

    base_url = "http://unused"
    server = "localhost"

    def last_words(self) -> str:
        return ""

    def account(self, username: str) -> dict[str, Any] | None:
        self.asked += 1
        if self.down:
            raise HomeserverError("down")
        return self.accounts.get(username)

    def set_password(self, username: str, password: str) -> None:
        assert username in self.accounts, "an account was created"
        self.given.append((username, password))


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "chat_passwords.json"


def run(server: Server, record: Path, password: str | None = PASSWORD) -> ChatPasswords:
    return ChatPasswords(server, record, PEOPLE, password)


def test_who_has_no_account_yet_waits_and_gets_the_password_later(
    server: Server, record: Path
) -> None:
    chat = run(server, record)
    assert chat.give() == []
    server.accounts["ben"] = {}
    assert chat.give() == ["ben"]
    server.accounts["ada"] = {}
    assert chat.give() == ["ada"]
    assert server.given == [("ben", PASSWORD), ("ada", PASSWORD)]
    assert not chat.due()


@pytest.mark.parametrize("again", [PASSWORD, None])
def test_a_second_run_changes_nothing(server: Server, record: Path, again: str | None) -> None:
    server.accounts = {"ada": {}, "ben": {}}
    run(server, record).give()
    before, asked = record.read_text(), server.asked
    chat = run(server, record, again)
    assert not chat.due()
    assert chat.give() == []
    assert len(server.given) == 2
    assert server.asked == asked
    assert json.loads(record.read_text())["given"] == json.loads(before)["given"]


def test_a_later_run_gives_it_to_those_who_still_wait(server: Server, record: Path) -> None:
    server.accounts = {"ada": {}}
    run(server, record).give()
    server.accounts["ben"] = {}
    assert run(server, record, None).give() == ["ben"]
    assert server.given[-1] == ("ben", PASSWORD)


def test_another_password_is_given_to_everybody(server: Server, record: Path) -> None:
    server.accounts = {"ada": {}, "ben": {}}
    run(server, record).give()
    assert run(server, record, "another password").give() == ["ada", "ben"]


def test_the_password_is_kept_only_while_somebody_waits_and_for_the_owner_alone(
    server: Server, record: Path
) -> None:
    chat = run(server, record)
    assert PASSWORD in record.read_text()
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    server.accounts = {"ada": {}, "ben": {}}
    chat.give()
    assert PASSWORD not in record.read_text()
    assert PASSWORD not in repr(vars(chat)["_record"])


@pytest.mark.parametrize("account", [{"admin": True}, {"admin": 1}, {"deactivated": True}])
def test_an_administrator_or_a_deactivated_account_is_given_none(
    server: Server, record: Path, account: dict[str, Any]
) -> None:
    server.accounts = {"ada": account, "ben": {}}
    assert run(server, record).give() == ["ben"]


def test_without_a_password_nobody_is_asked_for(server: Server, record: Path) -> None:
    chat = run(server, record, None)
    assert not chat.due()
    assert not record.exists()


def test_a_homeserver_that_is_down_is_asked_again_later(server: Server, record: Path) -> None:
    chat = run(server, record)
    assert chat.due()
    server.down = True
    with pytest.raises(HomeserverError):
        chat.give()
    assert not chat.due(), "not at once"
    server.down, server.accounts = False, {"ada": {}, "ben": {}}
    assert chat.give() == ["ada", "ben"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"given": "x"}', '{"hash": 1}', '{"more": 1}'])
def test_a_damaged_record_is_begun_anew(server: Server, record: Path, text: str) -> None:
    record.write_text(text)
    server.accounts = {"ada": {}, "ben": {}}
    assert run(server, record).give() == ["ada", "ben"]
