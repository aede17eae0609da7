"""The page "My ... account": who sees what, linking with a code, consent, passwords."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from commweb.accounts import account_of, link
from commweb.encryption import Secret
from commweb.erased import erase
from commweb.errors import ProviderError, Refused, SignInNeeded, Unreachable
from commweb.i18n import lazy_gettext
from commweb.models import Account, AccountProof, CourseChoice, Event, MemberRow, RoomRow, now
from commweb.providers import Registry
from commweb.providers.base import People, Provider, ProviderContext
from commweb.providers.rooms import AccountFacts
from commweb.settings import Setting
from tests.sites import Site, person, site, student
from tests.unit.web.conftest import Visitor, beside, events, shown

PAGE = "/communication/account"
MINE = "@mine:chat.example"


class Desk(People):
    """A homeserver that remembers what it was asked."""

    def __init__(self, provider: ChatProvider) -> None:
        self.provider = provider

    def examine(self, remote_user_id: str) -> AccountFacts:
        self.provider.ask()
        self.provider.calls.append("examine")
        reason = self.provider.unusable.get(remote_user_id)
        admin = remote_user_id in self.provider.admins
        return AccountFacts(remote_user_id, usable=reason is None, reason=reason, admin=admin)

    def send_code(self, remote_user_id: str, text: str) -> str:
        self.provider.ask()
        self.provider.calls.append("send_code")
        if remote_user_id in self.provider.refusing:
            raise Refused("The account takes no invitations.", status=403)
        self.provider.messages.append((remote_user_id, text))
        return f"!dm{len(self.provider.messages)}"

    def end_conversation(self, conversation: str) -> None:
        self.provider.ask()
        self.provider.ended.append(conversation)

    def set_password(self, remote_user_id: str, password: Secret) -> None:
        self.provider.ask()
        self.provider.passwords.append((remote_user_id, password.reveal()))

    def close(self) -> None:
        self.provider.open_desks -= 1


class ChatProvider(Provider):
    """A provider in which people have accounts."""

    id = "chat"
    name = lazy_gettext("Chat")
    account_page = lazy_gettext("My Chat account")
    account_label = lazy_gettext("Chat user ID")
    settings = (
        Setting("account_mode", "create"),
        Setting("ask_consent", False),
        Setting("link_without_proof", False),
        Setting("allow_chat_password", False),
        Setting("sso_provider_id", ""),
    )

    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []
        self.passwords: list[tuple[str, str]] = []
        self.ended: list[str] = []
        self.unusable: dict[str, str] = {}
        self.admins: set[str] = set()
        self.refusing: set[str] = set()
        self.calls: list[str] = []
        self.fault: ProviderError | None = None
        self.open_desks = 0
        self.asked = 0
        self.before_ask = lambda: None

    def ask(self) -> None:
        self.asked += 1
        self.before_ask()
        if self.fault is not None:
            raise self.fault

    def people(self, context: ProviderContext, deadline_seconds: float) -> People:
        assert deadline_seconds <= 10
        self.open_desks += 1
        return Desk(self)

    def account_problem(self, remote_user_id: str) -> str | None:
        return None if remote_user_id.startswith("@") else "This is no user ID."


@pytest.fixture
def chat() -> ChatProvider:
    return ChatProvider()


@pytest.fixture
def school(tmp_path: Path, chat: ChatProvider) -> Iterator[Site]:
    with site(tmp_path, Registry([chat])) as made:
        before = made.state.network.before_send
        assert before is not None
        chat.before_ask = before
        with made.app.app_context():
            made.comm.set_enabled(True)
        yield made
        assert chat.open_desks == 0


@pytest.fixture
def ada(school: Site) -> Visitor:
    return Visitor(school, "ada")


@pytest.fixture
def bob(school: Site) -> Visitor:
    return Visitor(school, "bob")


def configure(school: Site, **values: Any) -> None:
    with school.app.app_context():
        school.comm.configure("chat", values)


def press(visitor: Visitor, action: str, **fields: str) -> Any:
    return visitor.post(f"{PAGE}/{action}", csrf_token=visitor.token(PAGE), **fields)


def code_of(chat: ChatProvider) -> str:
    found = re.search(r"\b\d{6,8}\b", chat.messages[-1][1])
    assert found
    return found[0]


def account(school: Site, person_id: str = "ada") -> Any:
    with school.state.database.read() as connection:
        return account_of(connection, "chat", person_id)


def give_account(school: Site, *, made: bool = True, **values: Any) -> None:
    row = {"provider": "chat", "person_id": "ada", "remote_user_id": "@ada:chat.example"}
    row |= {"origin": "created", "display_name": "Ada", "checked_at": now(), **values}
    row["made_user_id"] = row["remote_user_id"] if made else None
    with school.state.database.write() as connection:
        connection.execute(insert(Account).values(**row))


def give_room(school: Site, state: str, reason: str | None = None, **room: Any) -> None:
    course = room.pop("course", "1")
    school.campus.add(course, student("ada"), name=f"Course {course}")
    values = {"course_id": course, "provider": "chat", "wanted": True, "remote_id": "!r", **room}
    with school.state.database.write() as connection:
        connection.execute(
            insert(CourseChoice).values(
                course_id=course, provider="chat", course_name=f"Course {course}"
            )
        )
        row = connection.execute(
            insert(RoomRow).values(**{"status": "ready", **values}).returning(RoomRow.id)
        )
        member = {"room_id": row.scalar_one(), "person_id": "ada", "state": state, "reason": reason}
        connection.execute(insert(MemberRow).values(**member, display_name="Ada"))


def test_nobody_who_is_not_logged_in_sees_the_page(school: Site) -> None:
    nobody = Visitor(school, None)
    for response in (nobody.get(PAGE), nobody.post(f"{PAGE}/unlink")):
        assert response.status_code == 302
        assert response.headers["Location"] == f"/login?next={PAGE}"


def test_the_page_is_not_there_while_the_subsystem_is_off(school: Site, ada: Visitor) -> None:
    with school.app.app_context():
        school.comm.set_enabled(False)
    assert ada.get(PAGE).status_code == 404
    assert ada.post(f"{PAGE}/unlink").status_code == 404


def test_the_page_is_not_there_while_no_provider_has_accounts(
    school: Site, ada: Visitor, chat: ChatProvider
) -> None:
    admin = Visitor(school)
    providers = "/communication/admin/communication/providers"
    admin.press(f"{providers}/chat/disable", providers)
    assert ada.get(PAGE).status_code == 404


@pytest.mark.parametrize(
    "action", ["link", "confirm", "cancel", "unlink", "agree", "again", "password"]
)
def test_nothing_happens_without_the_pages_token(school: Site, ada: Visitor, action: str) -> None:
    configure(school, allow_chat_password=True)
    give_account(school)
    response = ada.post(f"{PAGE}/{action}", user_id=MINE, password="long enough 1", code="1")
    assert response.status_code in (400, 422)
    assert account(school).origin == "created"


def test_the_menu_leads_to_the_page_while_it_is_there(school: Site) -> None:
    with school.app.test_request_context(headers={"X-Person": "ada"}):
        (item,) = school.comm.navigation(school.campus.current_person())
        assert (item.text, item.url) == ("My Chat account", PAGE)
        school.comm.set_enabled(False)
        assert school.comm.navigation(school.campus.current_person()) == ()


def test_the_account_in_use_is_shown(school: Site, ada: Visitor, bob: Visitor) -> None:
    give_account(school)
    page = ada.get(PAGE)
    assert "<h1>My Chat account</h1>" in page.text
    assert "@ada:chat.example This account was created for you." in shown(page)
    assert 'value="@ada:chat.example"' in page.text
    assert "@ada:chat.example" not in bob.get(PAGE).text


@pytest.mark.parametrize(
    ("mode", "sentence"),
    [
        ("create", "An account is created for you as soon as one of your courses has a room."),
        ("invite", "You are invited under your name here once one of your courses has a room."),
        ("linked", "You have no account here. Link one of your own to get into your rooms."),
    ],
)
def test_who_has_no_account_is_told_what_comes(
    school: Site, ada: Visitor, mode: str, sentence: str
) -> None:
    configure(school, account_mode=mode)
    assert sentence in shown(ada.get(PAGE))


def test_an_account_is_linked_with_the_code_that_was_sent_to_it(
    school: Site, ada: Visitor, chat: ChatProvider
) -> None:
    give_room(school, "in")
    text = ada.follow(press(ada, "link", user_id=f" {MINE} "))
    assert f"If the account {MINE} exists, a code is on its way to it." in text
    assert f"If the account {MINE} exists, a code was sent to it in a private chat." in text
    assert account(school) is None
    assert chat.messages[0][0] == MINE
    code = code_of(chat)
    text = ada.follow(press(ada, "confirm", code=f"{code[:4]} {code[4:]}"))
    assert f"The account {MINE} is linked. Your rooms will be updated shortly." in text
    assert f"{MINE} You have linked this account." in text
    assert account(school).origin == "proven"
    assert chat.ended == ["!dm1"]
    with school.state.database.read() as connection:
        dirty = RoomRow.synced_revision < RoomRow.revision
        assert connection.execute(select(RoomRow.id).where(dirty)).all()


def test_the_code_is_nowhere_but_in_the_message(
    school: Site, ada: Visitor, chat: ChatProvider, caplog: pytest.LogCaptureFixture
) -> None:
    pages = ada.follow(press(ada, "link", user_id=MINE))
    code = code_of(chat)
    with school.state.database.read() as connection:
        rows = [dict(row) for row in connection.execute(select(AccountProof.__table__)).mappings()]
    for text in (pages, str(rows), caplog.text, str(events(school)), ada.get(PAGE).text):
        assert code not in text


def test_a_wrong_code_says_how_many_tries_are_left(
    school: Site, ada: Visitor, chat: ChatProvider
) -> None:
    press(ada, "link", user_id=MINE)
    wrong = f"{(int(code_of(chat)) + 1) % 10**8:08d}"
    for words in ("4 more times", "3 more times", "2 more times", "1 more time."):
        response = press(ada, "confirm", code=wrong)
        assert response.status_code == 422
        assert words in beside(response, "code")
    assert press(ada, "confirm", code=wrong).status_code == 422
    response = press(ada, "confirm", code=code_of(chat))
    assert response.status_code == 422
    assert account(school) is None
    assert 'name="code"' not in ada.get(PAGE).text


@pytest.mark.parametrize("typed", ["", "abc", "1234567", "123456789", "１２３４５６７８"])
def test_what_cannot_be_a_code_costs_no_try(
    school: Site, ada: Visitor, chat: ChatProvider, typed: str
) -> None:
    press(ada, "link", user_id=MINE)
    response = press(ada, "confirm", code=typed)
    assert response.status_code == 422
    assert beside(response, "code")
    with school.state.database.read() as connection:
        assert connection.execute(select(AccountProof.tries_left)).scalar() == 5


def test_a_code_is_good_for_the_person_who_asked_only(
    ada: Visitor, bob: Visitor, chat: ChatProvider, school: Site
) -> None:
    press(ada, "link", user_id=MINE)
    assert press(bob, "confirm", code=code_of(chat)).status_code == 422
    assert account(school, "bob") is None


def test_another_code_waits_a_minute_and_asks_the_homeserver_nothing_before(
    school: Site, ada: Visitor, chat: ChatProvider
) -> None:
    press(ada, "link", user_id=MINE)
    asked = chat.asked
    response = press(ada, "link", user_id="@victim:chat.example")
    assert response.status_code == 422
    assert "Another one can be sent in" in beside(response, "user_id")
    assert 'value="@victim:chat.example"' in response.text
    assert chat.asked == asked
    with school.state.database.write() as connection:
        connection.execute(update(AccountProof).values(sent_at=now().replace(year=2020)))
    assert press(ada, "link", user_id=MINE).status_code == 303
    assert chat.ended == ["!dm1"]


def test_a_clock_that_was_ahead_neither_keeps_a_code_alive_nor_the_next_one_away(
    school: Site, ada: Visitor, chat: ChatProvider
) -> None:
    press(ada, "link", user_id=MINE)
    code = code_of(chat)
    tomorrow = now() + timedelta(days=1)
    with school.state.database.write() as connection:
        ahead = {"sent_at": tomorrow, "expires_at": tomorrow + timedelta(minutes=15)}
        connection.execute(update(AccountProof).values(**ahead))
        connection.execute(update(Event).values(at=tomorrow))
    assert press(ada, "confirm", code=code).status_code == 422
    for number in range(5):
        assert press(ada, "link", user_id=f"@m{number}:chat.example").status_code == 303
        let_a_minute_pass(school)


def test_giving_up_ends_the_conversation_and_keeps_the_minute(
    ada: Visitor, chat: ChatProvider
) -> None:
    press(ada, "link", user_id=MINE)
    assert "Linking cancelled." in ada.follow(press(ada, "cancel"))
    assert chat.ended == ["!dm1"]
    assert press(ada, "confirm", code=code_of(chat)).status_code == 422
    assert press(ada, "link", user_id=MINE).status_code == 422


def test_two_people_cannot_link_one_account(
    school: Site, ada: Visitor, bob: Visitor, chat: ChatProvider
) -> None:
    press(ada, "link", user_id=MINE)
    code = code_of(chat)
    press(bob, "link", user_id=MINE)
    assert press(bob, "confirm", code=code_of(chat)).status_code == 303
    response = press(ada, "confirm", code=code)
    assert response.status_code == 422
    assert "Somebody else has proven this account already." in response.text
    assert account(school) is None


def test_what_is_no_account_is_refused_beside_the_field(ada: Visitor, chat: ChatProvider) -> None:
    for typed, words in (("", "This field is required."), ("mine", "This is no user ID.")):
        response = press(ada, "link", user_id=typed)
        assert response.status_code == 422
        assert beside(response, "user_id") == words
    assert chat.messages == []
    assert press(ada, "link", user_id=MINE).status_code == 303


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Unreachable("The homeserver does not answer."), "The homeserver does not answer."),
        (SignInNeeded("The tokens are dead."), "The site is not signed in to the chat now."),
    ],
)
def test_a_homeserver_that_fails_is_said_and_the_pause_goes_on(
    ada: Visitor, chat: ChatProvider, fault: ProviderError, words: str
) -> None:
    chat.fault = fault
    response = press(ada, "link", user_id=MINE)
    assert response.status_code == 422
    assert words in shown(response)
    assert f'value="{MINE}"' in response.text
    chat.fault = None
    assert "Another one can be sent in" in beside(press(ada, "link", user_id=MINE), "user_id")


def test_a_code_that_could_not_be_sent_is_forgotten(
    school: Site, ada: Visitor, chat: ChatProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_desk: Desk, _remote: str, _text: str) -> str:
        raise Unreachable("The homeserver does not answer.")

    with monkeypatch.context() as patched:
        patched.setattr(Desk, "send_code", fail)
        assert press(ada, "link", user_id=MINE).status_code == 422
    assert 'name="code"' not in ada.get(PAGE).text


def test_without_proof_the_account_is_linked_at_once_where_the_admin_allows_it(
    school: Site, ada: Visitor, bob: Visitor, chat: ChatProvider
) -> None:
    configure(school, link_without_proof=True)
    assert "is linked" in ada.follow(press(ada, "link", user_id=MINE))
    assert chat.messages == []
    assert account(school).origin == "claim"
    response = press(bob, "link", user_id=MINE)
    assert beside(response, "user_id") == "This account cannot be linked without a code."


def test_unlinking_goes_back_to_the_account_that_was_made(school: Site, ada: Visitor) -> None:
    give_account(school)
    with school.state.database.write() as connection:
        link(connection, "chat", "ada", MINE)
    assert "The account was unlinked." in ada.follow(press(ada, "unlink"))
    assert account(school).remote_user_id == "@ada:chat.example"


def test_consent_is_asked_for_and_given_on_the_page(school: Site, ada: Visitor) -> None:
    configure(school, ask_consent=True)
    give_room(school, "waiting", "Has to agree.", remote_id="!r")
    text = shown(ada.get(PAGE))
    assert "You have no account yet. One is created for you once you agree." in text
    assert "You are added to the room once you agree to an account." in text
    assert "Thank you." in ada.follow(press(ada, "agree"))
    assert "Agree and get an account" not in ada.get(PAGE).text
    assert events(school)[-1][:3] == ("ada", "account.agreed", "chat")


def test_a_chat_password_is_passed_on_and_kept_nowhere(
    school: Site, ada: Visitor, chat: ChatProvider, caplog: pytest.LogCaptureFixture
) -> None:
    configure(school, allow_chat_password=True)
    give_account(school)
    secret = " correct horse battery "
    response = press(ada, "password", password=secret, password_again=secret)
    assert "The chat password is set. Sign in as @ada:chat.example." in ada.follow(response)
    assert chat.passwords == [("@ada:chat.example", secret)]
    assert events(school)[-1][:3] == ("ada", "account.password_set", "chat")
    database = (Path(school.app.instance_path) / "campus.db").read_bytes()
    for text in (caplog.text, str(events(school)), ada.get(PAGE).text):
        assert secret.strip() not in text
    assert secret.strip().encode() not in database


@pytest.mark.parametrize(
    ("first", "second", "field", "words"),
    [
        ("", "", "password", "This field is required."),
        ("short", "short", "password", "Use at least 12 characters."),
        ("a" * 12, "a" * 12, "password", "Use at least 5 different characters."),
        (" " * 20, " " * 20, "password", "Use at least 5 different characters."),
        ("long enough 1", "long enough 2", "password_again", "The two passwords are not the same."),
    ],
)
def test_a_password_that_is_not_good_is_refused_and_not_shown(
    school: Site,
    ada: Visitor,
    chat: ChatProvider,
    first: str,
    second: str,
    field: str,
    words: str,
) -> None:
    configure(school, allow_chat_password=True)
    give_account(school)
    response = press(ada, "password", password=first, password_again=second)
    assert response.status_code == 422
    assert beside(response, field) == words
    assert chat.passwords == []
    assert not first or first not in response.text


@pytest.mark.parametrize(
    ("values", "made", "linked"),
    [
        ({"allow_chat_password": False}, True, False),
        ({"allow_chat_password": True, "sso_provider_id": "oidc-school"}, True, False),
        ({"allow_chat_password": True}, False, False),
        ({"allow_chat_password": True}, True, True),
    ],
)
def test_a_password_is_for_accounts_of_ours_without_single_sign_on_only(
    school: Site,
    ada: Visitor,
    chat: ChatProvider,
    values: Mapping[str, Any],
    made: bool,
    linked: bool,
) -> None:
    configure(school, **values)
    give_account(school, made=made)
    if linked:
        with school.state.database.write() as connection:
            link(connection, "chat", "ada", MINE)
    assert "Set a chat password" not in ada.get(PAGE).text
    secret = "long enough 1"
    assert press(ada, "password", password=secret, password_again=secret).status_code == 403
    assert chat.passwords == []


@pytest.mark.parametrize(
    ("state", "reason", "words", "link"),
    [
        ("in", None, "You are in the room.", True),
        ("invited", "Was invited.", "You are invited. Open the chat to accept.", True),
        ("left", None, "You left the room. Your teacher can add you back.", False),
        ("banned", None, "A moderator of the chat banned you from the room.", False),
        ("adding", None, "You are being added to the room.", False),
        ("waiting", "Has no account yet.", "Has no account yet.", False),
        ("failing", "It is locked.", "You could not be added to the room: It is locked.", False),
    ],
)
def test_every_room_says_how_one_stands_to_it(
    school: Site, ada: Visitor, state: str, reason: str | None, words: str, link: bool
) -> None:
    give_room(school, state, reason)
    page = ada.get(PAGE)
    assert f"Course 1 {words}" in shown(page)
    assert ('href="/communication/courses/1/chat"' in page.text) is link
    assert ("Try again" in page.text) is (state == "failing")


def test_a_room_that_is_not_made_yet_is_said_to_come(school: Site, ada: Visitor) -> None:
    give_room(school, "adding", remote_id=None, status="pending")
    assert "Your Chat room will be ready soon." in shown(ada.get(PAGE))


def test_rooms_of_courses_one_may_not_see_are_not_named(school: Site, ada: Visitor) -> None:
    give_room(school, "in")
    school.campus.member_table["1"] = []
    assert "Course 1" not in ada.get(PAGE).text


def test_trying_again_asks_for_the_rooms_to_be_looked_at(school: Site, ada: Visitor) -> None:
    give_room(school, "failing", "The server was away.", revision=1, synced_revision=1)
    assert "Your rooms are being updated." in ada.follow(press(ada, "again"))
    with school.state.database.read() as connection:
        assert connection.execute(select(RoomRow.revision)).scalar() == 2


def test_what_people_type_is_shown_as_text(school: Site, ada: Visitor, chat: ChatProvider) -> None:
    typed = "@<script>alert(1)</script>:x"
    response = press(ada, "link", user_id=typed)
    pages = [ada.get(PAGE).text, press(ada, "link", user_id=typed).text, response.text]
    assert "&lt;script&gt;alert" in pages[0]
    assert all("<script>alert" not in page for page in pages)


def test_an_account_the_site_names_is_shown_as_such(school: Site) -> None:
    from commweb.web.own_account import Visit, situation

    named = person("ada", accounts={"chat": "@countess:chat.example"})
    provider = next(iter(school.state.registry))
    with school.app.test_request_context():
        now_seen = situation(Visit(school.state, provider, named, {}))
    assert now_seen.account == "@countess:chat.example"
    assert now_seen.sentence == "The site knows this account as yours."


def nobody_knows(chat: ChatProvider, what: str) -> None:
    """An account that is no good for linking, for one reason or another."""
    if what == "missing":
        chat.unusable[MINE] = "There is no such account."
    if what == "administrator":
        chat.admins.add(MINE)
    if what == "no invitations":
        chat.refusing.add(MINE)


@pytest.mark.parametrize(
    "what", ["free", "missing", "administrator", "no invitations", "somebody's"]
)
def test_the_answer_is_the_same_whatever_the_account_is(
    school: Site, ada: Visitor, chat: ChatProvider, what: str
) -> None:
    nobody_knows(chat, what)
    if what == "somebody's":
        with school.state.database.write() as connection:
            link(connection, "chat", "bob", MINE)
    response = press(ada, "link", user_id=MINE)
    assert response.status_code == 303
    text = ada.follow(response)
    assert f"If the account {MINE} exists, a code is on its way to it." in text
    assert 'name="code"' in ada.get(PAGE).text
    assert chat.calls == ["examine", "send_code"]
    response = press(ada, "confirm", code="12345678")
    assert "4 more times" in beside(response, "code")


@pytest.mark.parametrize("what", ["missing", "administrator", "somebody's"])
def test_a_claim_is_refused_with_one_sentence_whatever_the_account_is(
    school: Site, ada: Visitor, chat: ChatProvider, what: str
) -> None:
    configure(school, link_without_proof=True)
    nobody_knows(chat, what)
    if what == "somebody's":
        with school.state.database.write() as connection:
            link(connection, "chat", "bob", MINE, origin="claim")
    response = press(ada, "link", user_id=MINE)
    assert beside(response, "user_id") == "This account cannot be linked without a code."
    assert account(school) is None


def test_the_account_of_somebody_who_was_erased_cannot_be_claimed(
    school: Site, ada: Visitor, chat: ChatProvider
) -> None:
    configure(school, link_without_proof=True)
    with school.state.database.write() as connection:
        link(connection, "chat", "bob", MINE)
        erase(connection, school.state.sealer, "bob")
    response = press(ada, "link", user_id=MINE)
    assert beside(response, "user_id") == "This account cannot be linked without a code."
    assert account(school) is None


def test_who_has_an_account_already_needs_the_code_even_where_claims_are_allowed(
    school: Site, ada: Visitor, chat: ChatProvider
) -> None:
    configure(school, link_without_proof=True)
    give_account(school)
    assert "Send a code" in ada.get(PAGE).text
    press(ada, "link", user_id=MINE)
    assert account(school).remote_user_id == "@ada:chat.example"
    assert len(chat.messages) == 1


def let_a_minute_pass(school: Site) -> None:
    with school.state.database.write() as connection:
        connection.execute(update(AccountProof).values(sent_at=now().replace(year=2020)))


def test_a_person_may_ask_for_five_codes_an_hour(
    school: Site, ada: Visitor, bob: Visitor, chat: ChatProvider
) -> None:
    for number in range(5):
        assert press(ada, "link", user_id=f"@m{number}:chat.example").status_code == 303
        let_a_minute_pass(school)
    response = press(ada, "link", user_id=MINE)
    assert beside(response, "user_id") == "Too many tries. Try again in an hour."
    assert len(chat.messages) == 5
    assert press(bob, "link", user_id=MINE).status_code == 303


def test_an_account_gets_five_codes_an_hour_whoever_asks(
    school: Site, ada: Visitor, chat: ChatProvider
) -> None:
    for number in range(5):
        press(Visitor(school, f"p{number}"), "link", user_id=MINE)
    response = press(ada, "link", user_id=MINE)
    assert beside(response, "user_id") == "Too many tries. Try again in an hour."


def test_the_network_address_is_kept_as_a_keyed_hash_only(school: Site, ada: Visitor) -> None:
    press(ada, "link", user_id=MINE)
    asked = [event for event in events(school) if "code_asked" in str(event)]
    assert asked
    assert "127.0.0.1" not in str(asked)


def test_an_account_of_their_name_is_offered_for_proof(school: Site, ada: Visitor) -> None:
    give_account(school, made=False, origin="named")
    text = shown(ada.get(PAGE))
    assert "The account @ada:chat.example exists already. Prove below that it is yours." in text
    assert 'value="@ada:chat.example"' in ada.get(PAGE).text


SITE_PASSWORD = "the site's own 1"
CHAT_PASSWORD = "another long one 2"


def set_password(visitor: Visitor, site_password: str, password: str = CHAT_PASSWORD) -> Any:
    return press(
        visitor,
        "password",
        site_password=site_password,
        password=password,
        password_again=password,
    )


@pytest.mark.parametrize(
    ("typed", "new", "field", "words"),
    [
        ("", CHAT_PASSWORD, "site_password", "This is not your password on this site."),
        ("wrong", CHAT_PASSWORD, "site_password", "This is not your password on this site."),
        (
            SITE_PASSWORD,
            SITE_PASSWORD,
            "password",
            "Choose another password than the one of this site.",
        ),
    ],
)
def test_a_stolen_session_sets_no_password_and_the_sites_own_is_not_used_again(
    school: Site, ada: Visitor, chat: ChatProvider, typed: str, new: str, field: str, words: str
) -> None:
    configure(school, allow_chat_password=True)
    give_account(school)
    school.campus.password_table["ada"] = SITE_PASSWORD
    response = set_password(ada, typed, new)
    assert response.status_code == 422
    assert beside(response, field) == words
    assert chat.passwords == []


def test_a_password_is_set_by_whoever_knows_the_one_of_the_site(
    school: Site, ada: Visitor, chat: ChatProvider
) -> None:
    configure(school, allow_chat_password=True)
    give_account(school)
    school.campus.password_table["ada"] = SITE_PASSWORD
    assert set_password(ada, SITE_PASSWORD).status_code == 303
    assert chat.passwords == [("@ada:chat.example", CHAT_PASSWORD)]


def test_the_sites_password_can_be_tried_five_times_an_hour(
    school: Site, ada: Visitor, chat: ChatProvider
) -> None:
    configure(school, allow_chat_password=True)
    give_account(school)
    school.campus.password_table["ada"] = SITE_PASSWORD
    for _try in range(5):
        set_password(ada, "wrong")
    response = set_password(ada, SITE_PASSWORD)
    assert beside(response, "site_password") == "Too many tries. Try again in an hour."
    assert chat.passwords == []


class SlowPasswords(dict[str, str]):
    """Answers when eight people have asked, or after two seconds."""

    def __init__(self, **passwords: str) -> None:
        super().__init__(passwords)
        self.together = threading.Barrier(8)
        self.asked: list[str] = []

    def get(self, person_id: str, default: Any = None) -> Any:
        self.asked.append(person_id)
        with suppress(threading.BrokenBarrierError):
            self.together.wait(timeout=2)
        return super().get(person_id, default)


def test_guesses_at_the_sites_password_that_come_at_once_are_counted_one_by_one(
    school: Site, chat: ChatProvider
) -> None:
    configure(school, allow_chat_password=True)
    give_account(school)
    school.campus.password_table = slow = SlowPasswords(ada=SITE_PASSWORD)
    visitors = [Visitor(school, "ada") for _number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda visitor: set_password(visitor, "a guess"), visitors))
    assert len(slow.asked) == 5
    assert chat.passwords == []


def test_the_right_password_of_the_site_is_no_guess(
    school: Site, ada: Visitor, chat: ChatProvider
) -> None:
    configure(school, allow_chat_password=True)
    give_account(school)
    school.campus.password_table["ada"] = SITE_PASSWORD
    for number in range(7):
        assert set_password(ada, SITE_PASSWORD, f"{CHAT_PASSWORD} {number}").status_code == 303
    assert len(chat.passwords) == 7
