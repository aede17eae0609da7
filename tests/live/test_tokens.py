"""The token ring on a real Synapse whose access tokens live two seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from commweb.connection import Session
from commweb.errors import SignInNeeded
from commweb.models import now
from commweb.providers.matrix import public
from commweb.providers.matrix.session import HomeserverSession
from commweb.site.homeserver import Homeserver
from tests.dropper import Dropper
from tests.stored_session import Stored

ROOT = Path(__file__).parents[2]


@pytest.fixture
def quick(make_homeserver: Callable[..., Homeserver]) -> Homeserver:
    return make_homeserver(refreshable_access_token_lifetime="2s")


@pytest.fixture
def stored(database_url: str) -> Iterator[Stored]:
    stored = Stored.open(database_url)
    yield stored
    stored.close()


@pytest.fixture
def save(sign_in: Callable[[Homeserver], Any], stored: Stored) -> Callable[..., None]:
    """Sign in and store the tokens, as an admin who typed them: their life is not known."""

    def save(homeserver: Homeserver, base_url: str | None = None) -> None:
        mine = sign_in(homeserver)
        stored.save(mine.access_token, mine.refresh_token, base_url=base_url or mine.base_url)

    return save


def read(stored: Stored) -> Session:
    session = stored.tokens().read()
    assert session is not None
    return session


def wait_until_expired(session: HomeserverSession, stored: Stored) -> None:
    expires_at = read(stored).pair.expires_at
    while expires_at is not None and now() < expires_at:
        public.versions(session.transport)


def test_a_token_is_refreshed_before_and_after_its_end(
    quick: Homeserver, stored: Stored, save: Callable[..., None]
) -> None:
    save(quick)
    session = HomeserverSession.open(stored.context(quick.base_url))
    while read(stored).generation < 4:
        session.client.whoami()
    wait_until_expired(session, stored)
    assert session.client.whoami().user_id == "@admin:localhost"
    assert read(stored).pair.lifetime_seconds == 2
    session.close()


def test_two_processes_with_two_threads_each_share_one_session(
    quick: Homeserver, stored: Stored, save: Callable[..., None]
) -> None:
    save(quick)
    until = read(stored).generation + 4
    arguments = [stored.url, quick.base_url, str(until), "2"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.token_user", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _number in range(2)
    ]
    for one in processes:
        assert one.stdin is not None
        one.stdin.write(f"{stored.key}\n")
        one.stdin.flush()
    told = [json.loads(one.communicate(timeout=120)[0]) for one in processes]
    assert [one["errors"] for one in told] == [[], []]
    assert all(one["calls"] > 0 for one in told)
    assert read(stored).state == "ok"
    session = HomeserverSession.open(stored.context(quick.base_url))
    assert session.client.whoami().user_id == "@admin:localhost"
    session.close()


def test_the_session_outlives_a_killed_process_that_was_refreshing(
    quick: Homeserver, stored: Stored, save: Callable[..., None]
) -> None:
    save(quick)
    session = HomeserverSession.open(stored.context(quick.base_url))
    session.client.whoami()
    before = read(stored)
    assert stored.tokens().take_lease("killed", before.generation, 0.5)
    # It had asked, and was killed before it stored the answer.
    assert before.pair.refresh is not None
    public.refresh(session.transport, before.pair.refresh, 10)
    wait_until_expired(session, stored)
    assert session.client.whoami().user_id == "@admin:localhost"
    session.close()


def test_lost_refresh_replies_lose_nothing(
    quick: Homeserver, stored: Stored, save: Callable[..., None]
) -> None:
    with Dropper.before(quick.base_url) as dropper:
        save(quick, dropper.url)
        session = HomeserverSession.open(stored.context(dropper.url))
        dropper.lose("/refresh", times=3)
        while dropper.dropped < 3:
            session.client.whoami()
        before = read(stored).generation
        while read(stored).generation == before:
            session.client.whoami()
        session.close()
    assert read(stored).state == "ok"


def test_a_refresh_handled_late_is_made_good_with_the_previous_token(
    quick: Homeserver, stored: Stored, save: Callable[..., None]
) -> None:
    save(quick)
    session = HomeserverSession.open(stored.context(quick.base_url))
    first = read(stored).pair.access
    session.ring.replacement(first)
    used = read(stored).previous
    assert used is not None
    public.refresh(session.transport, used, 10)  # kills the pair that was stored
    dead = read(stored)
    assert session.client.whoami().user_id == "@admin:localhost"
    after = read(stored)
    assert after.generation == dead.generation + 1
    assert after.previous == used
    session.close()


def test_a_session_that_was_ended_asks_for_a_sign_in_and_comes_back_with_it(
    quick: Homeserver, stored: Stored, save: Callable[..., None]
) -> None:
    save(quick)
    session = HomeserverSession.open(stored.context(quick.base_url))
    session.client.whoami()
    session.transport.call("POST", "/_matrix/client/v3/logout", body={}, token=session.ring.token())
    for _time in range(2):
        with pytest.raises(SignInNeeded, match="sign in again"):
            session.client.whoami()
    assert read(stored).state == "sign_in_needed"
    save(quick)
    assert session.client.whoami().user_id == "@admin:localhost"
    session.close()


def test_a_token_without_an_expiry_works_for_ever(
    quick: Homeserver, stored: Stored, admin_password: str
) -> None:
    plain = quick.login("admin", admin_password)
    stored.save(plain["access_token"], None, base_url=quick.base_url)
    session = HomeserverSession.open(stored.context(quick.base_url))
    assert session.client.whoami().user_id == "@admin:localhost"
    assert read(stored).generation == 1
    session.close()
