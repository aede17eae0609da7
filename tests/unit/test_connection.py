"""The stored session: sealing, the lease, and who wins."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import event, text, update

from commweb.connection import TokenPair
from commweb.encryption import Secret
from commweb.models import Connection as Row
from commweb.models import now
from tests.stored_session import BASE_URL, Stored

LATER = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def stored(database_url: str) -> Iterator[Stored]:
    stored = Stored.open(database_url)
    yield stored
    stored.close()


def pair(access: str, refresh: str | None) -> TokenPair:
    return TokenPair(Secret(access), Secret(refresh) if refresh else None, LATER, 300)


def test_nothing_stored_reads_as_none(stored: Stored) -> None:
    assert stored.tokens().read() is None


def test_what_was_saved_is_read_again(stored: Stored) -> None:
    stored.save("a1", "r1", expires_at=LATER, lifetime_seconds=300, user_id="@bot:hs.example")
    session = stored.tokens().read()
    assert session is not None
    assert session.pair == TokenPair(Secret("a1"), Secret("r1"), LATER, 300)
    assert (session.state, session.base_url, session.generation) == ("ok", BASE_URL, 1)
    assert (session.user_id, session.server_name) == ("@bot:hs.example", "hs.example")
    assert session.previous is None
    assert session.set_at is not None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_no_token_is_in_the_file_or_in_a_repr(stored: Stored) -> None:
    stored.save("access-in-clear", "refresh-in-clear")
    session = stored.tokens().read()
    assert "in-clear" not in repr(session)
    data = b"".join(path.read_bytes() for path in stored.path.parent.iterdir())
    assert b"in-clear" not in data


def test_a_token_moved_to_another_server_does_not_open(stored: Stored) -> None:
    stored.save("a1", "r1")
    with stored.database.write() as connection:
        connection.execute(text("UPDATE commweb_connection SET base_url='https://evil.example'"))
    session = stored.tokens().read()
    assert session is not None
    assert (session.state, bool(session.pair.access)) == ("sign_in_needed", False)


def test_a_lost_key_needs_a_sign_in_and_says_why(stored: Stored) -> None:
    stored.save("a1", "r1")
    session = stored.tokens(key=Fernet.generate_key().decode()).read()
    assert session is not None
    assert session.state == "sign_in_needed"
    assert "COMMWEB_SECRET_KEYS" in (session.reason or "")


def test_saving_nothing_for_the_same_server_changes_nothing(stored: Stored) -> None:
    stored.save("a1", "r1")
    before = stored.tokens().read()
    stored.save(None, None)
    assert stored.tokens().read() == before


def test_saving_one_token_keeps_the_other(stored: Stored) -> None:
    stored.save("a1", "r1", expires_at=LATER, user_id="@bot:hs.example")
    stored.save(None, "r2")
    session = stored.tokens().read()
    assert session is not None
    assert session.pair == TokenPair(Secret("a1"), Secret("r2"), LATER, None)
    assert session.user_id == "@bot:hs.example"
    stored.save("a3", None)
    session = stored.tokens().read()
    assert session is not None
    assert session.pair == TokenPair(Secret("a3"), Secret("r2"))
    assert session.user_id is None


def test_another_server_keeps_no_token_of_the_first(stored: Stored) -> None:
    stored.save("a1", "r1")
    stored.save("a2", None, base_url="https://other.example")
    session = stored.tokens().read()
    assert session is not None
    assert (session.pair.access, session.pair.refresh) == (Secret("a2"), None)
    stored.save(None, None, base_url="https://third.example")
    assert stored.tokens().read() is None


def test_cleared_tokens_are_gone_and_the_generation_still_grows(stored: Stored) -> None:
    stored.save("a1", "r1")
    with stored.database.write() as connection:
        stored.tokens().clear(connection)
    assert stored.tokens().read() is None
    stored.save("a2", "r2")
    session = stored.tokens().read()
    assert session is not None
    assert session.generation == 3


def test_one_holder_at_a_time_has_the_lease(stored: Stored) -> None:
    stored.save("a1", "r1")
    tokens = stored.tokens()
    assert tokens.take_lease("me", 1, 30)
    assert not tokens.take_lease("you", 1, 30)
    assert not tokens.take_lease("you", 2, 30)
    tokens.shorten_lease("you", -1)
    assert not tokens.take_lease("you", 1, 30)
    tokens.shorten_lease("me", -1)
    assert tokens.take_lease("you", 1, 30)


def test_a_lease_that_a_clock_that_was_ahead_took_is_over(stored: Stored) -> None:
    stored.save("a1", "r1")
    tokens = stored.tokens()
    assert tokens.take_lease("me", 1, 30 + 24 * 3600)
    assert tokens.take_lease("you", 1, 30)
    assert not tokens.take_lease("me", 1, 30)


def test_many_threads_get_one_lease(stored: Stored) -> None:
    stored.save("a1", "r1")
    start = threading.Barrier(8)
    got = []

    def work(number: int) -> None:
        start.wait()
        got.append(stored.tokens().take_lease(f"holder {number}", 1, 30))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False] * 7 + [True]


def test_a_rotation_keeps_the_used_token_as_previous(stored: Stored) -> None:
    stored.save("a1", "r1")
    tokens = stored.tokens()
    tokens.take_lease("me", 1, 30)
    assert tokens.rotate("me", 1, pair("a2", "r2"), Secret("r1"))
    session = tokens.read()
    assert session is not None
    assert session.pair == pair("a2", "r2")
    assert (session.previous, session.generation) == (Secret("r1"), 2)
    assert tokens.take_lease("you", 2, 30)


def test_a_reply_without_a_refresh_token_leaves_the_used_one_valid(stored: Stored) -> None:
    stored.save("a1", "r1")
    tokens = stored.tokens()
    tokens.take_lease("me", 1, 30)
    assert tokens.rotate("me", 1, pair("a2", None), Secret("r1"))
    session = tokens.read()
    assert session is not None
    assert session.pair.refresh == Secret("r1")


def test_a_rotation_without_the_lease_is_thrown_away(stored: Stored) -> None:
    stored.save("a1", "r1")
    tokens = stored.tokens()
    assert not tokens.rotate("me", 1, pair("a2", "r2"), Secret("r1"))
    tokens.take_lease("me", 1, -1)
    tokens.take_lease("you", 1, 30)
    assert not tokens.rotate("me", 1, pair("a2", "r2"), Secret("r1"))
    session = tokens.read()
    assert session is not None
    assert session.pair.access == Secret("a1")


def test_an_admin_who_saves_wins_over_a_refresh_under_way(stored: Stored) -> None:
    stored.save("a1", "r1")
    tokens = stored.tokens()
    tokens.take_lease("me", 1, 30)
    stored.save("a9", "r9")
    assert not tokens.rotate("me", 1, pair("a2", "r2"), Secret("r1"))
    assert not tokens.mark_sign_in_needed("me", 1, "dead")
    session = tokens.read()
    assert session is not None
    assert (session.pair.access, session.state) == (Secret("a9"), "ok")


def test_a_dead_session_says_why_and_is_not_refreshed(stored: Stored) -> None:
    stored.save("a1", "r1")
    tokens = stored.tokens()
    tokens.take_lease("me", 1, 30)
    assert tokens.mark_sign_in_needed("me", 1, "It has ended.")
    session = tokens.read()
    assert session is not None
    assert (session.state, session.reason) == ("sign_in_needed", "It has ended.")
    assert not tokens.take_lease("you", 1, 30)
    stored.save("a2", "r2")
    session = tokens.read()
    assert session is not None
    assert (session.state, session.reason) == ("ok", None)


def test_a_copied_database_must_sign_in_again_and_leaves_the_original_alone(
    stored: Stored,
) -> None:
    stored.save("a1", "r1")
    copy = stored.tokens("copy")
    session = copy.read()
    assert session is not None
    assert session.state == "sign_in_needed"
    assert "copied" in (session.reason or "")
    assert not copy.take_lease("me", 1, 30)
    assert not copy.rotate("me", 1, pair("a2", "r2"), Secret("r1"))
    stored.save("a2", None, instance="copy")
    session = copy.read()
    assert session is not None
    assert (session.state, session.pair.refresh) == ("ok", None)


def test_the_longest_pause_that_was_asked_for_counts(stored: Stored) -> None:
    stored.save("a1", "r1")
    tokens = stored.tokens()
    tokens.block_until(LATER)
    tokens.block_until(LATER - timedelta(seconds=5))
    session = tokens.read()
    assert session is not None
    assert session.blocked_until == LATER


def test_an_identity_is_remembered_for_the_session_it_was_asked_for(stored: Stored) -> None:
    stored.save("a1", "r1")
    tokens = stored.tokens()
    tokens.set_identity(7, "@other:hs.example", "hs.example")
    session = tokens.read()
    assert session is not None
    assert session.user_id is None
    tokens.set_identity(1, "@bot:hs.example", "hs.example")
    session = tokens.read()
    assert session is not None
    assert (session.user_id, session.server_name) == ("@bot:hs.example", "hs.example")


def test_what_stopped_the_rooms_is_said_since_it_began_until_the_server_answers(
    stored: Stored,
) -> None:
    stored.save("a1", "r1")
    tokens = stored.tokens()
    tokens.stop("suspended", "The account is suspended.")
    first = tokens.read()
    assert first is not None
    assert (first.trouble_code, first.trouble) == ("suspended", "The account is suspended.")
    assert first.trouble_since is not None
    assert first.state == "ok"
    tokens.stop("locked", "The account is locked.")
    second = tokens.read()
    assert second is not None
    assert (second.trouble_code, second.trouble_since) == ("locked", first.trouble_since)
    tokens.go_on()
    third = tokens.read()
    assert third is not None
    assert (third.trouble_code, third.trouble, third.trouble_since) == (None, None, None)
    assert third.answered_at is not None


def test_good_answers_are_written_down_once_a_minute(stored: Stored) -> None:
    stored.save("a1", "r1")
    tokens = stored.tokens()
    tokens.go_on()
    writes = []
    event.listen(
        stored.database.engine,
        "before_cursor_execute",
        lambda _c, _cur, statement, *_: writes.append(statement),
    )
    for _ in range(5):
        tokens.go_on()
    assert [one for one in writes if not one.startswith(("SELECT", "BEGIN"))] == []
    with stored.database.write() as connection:
        connection.execute(update(Row).values(answered_at=now() - timedelta(seconds=61)))
    tokens.go_on()
    session = tokens.read()
    assert session is not None
    assert session.answered_at is not None
    assert now() - session.answered_at < timedelta(seconds=30)


def test_new_tokens_begin_without_the_trouble_of_the_old(stored: Stored) -> None:
    stored.save("a1", "r1")
    stored.tokens().stop("suspended", "The account is suspended.")
    stored.save("a2", "r2")
    session = stored.tokens().read()
    assert session is not None
    assert (session.trouble_code, session.trouble, session.answered_at) == (None, None, None)


def test_a_rotation_is_on_the_disk_before_it_counts(stored: Stored) -> None:
    """A pair that is used and then lost in a power cut would be the end of the session."""
    stored.save("a1", "r1")
    tokens = stored.tokens()
    tokens.take_lease("me", 1, 30)
    how: list[object] = []

    def look(connection: Any, cursor: Any, statement: str, *_more: Any) -> None:
        if not statement.startswith("UPDATE commweb_connection"):
            return
        raw = connection.connection.cursor()
        asked = "SHOW synchronous_commit"
        if connection.dialect.name == "sqlite":
            asked = "PRAGMA synchronous"
        raw.execute(asked)
        how.append(raw.fetchone()[0])
        raw.close()

    event.listen(stored.database.engine, "before_cursor_execute", look)
    assert tokens.rotate("me", 1, pair("a2", "r2"), Secret("r1"))
    assert how == (["on"] if stored.database.engine.dialect.name == "postgresql" else [2])
