"""The token ring on a real database file, against an issuer that behaves as Synapse does."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from commweb.connection import TokenPair
from commweb.encryption import Secret
from commweb.errors import RateLimited, Refused, SignInNeeded, Unreachable
from commweb.models import Connection as Row
from commweb.models import now
from commweb.providers.matrix.tokens import SignedCaller, Timing, TokenRing
from commweb.providers.matrix.transport import Answer
from tests.stored_session import BASE_URL, Stored

BUSY = "The session with the homeserver is being refreshed; trying again."
CHANGED = r"^The homeserver or its account was changed meanwhile\.$"
ENDED = "The session with the homeserver has ended. An admin has to sign in again."
QUICK = Timing(refresh=0.3, lease=30, wait=0.3, reread=0)


class Issuer:
    """Tokens as Synapse issues them: a refresh token works until the access token it was
    exchanged for is used; exchanging it again kills the pair of the first exchange."""

    def __init__(self, lifetime_seconds: int = 300) -> None:
        self.lock = threading.Lock()
        self.lifetime_seconds = lifetime_seconds
        self.parents = {"r0": ""}
        self.live = {"a0": "r0"}
        self.next_of: dict[str, str] = {}
        self.exchanges: list[str] = []
        self.faults: list[Exception | None] = []

    def refresh(self, token: Secret, seconds: float) -> TokenPair:
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault
        with self.lock:
            name = token.reveal()
            self.exchanges.append(name)
            if name not in self.parents:
                raise Refused("unknown", status=401, errcode="M_UNKNOWN_TOKEN")
            earlier = self.next_of.get(name)
            if earlier:
                self._forget(earlier)
            number = len(self.exchanges)
            access, refresh = f"a{number}", f"r{number}"
            self.live[access], self.parents[refresh] = refresh, name
            self.next_of[name] = refresh
            expires_at = now() + timedelta(seconds=self.lifetime_seconds)
            return TokenPair(Secret(access), Secret(refresh), expires_at, self.lifetime_seconds)

    def use(self, access: Secret) -> bool:
        """Whether the server takes the token; from now on the older ones are dead."""
        with self.lock:
            refresh = self.live.get(access.reveal())
            if refresh is None:
                return False
            parent = self.parents[refresh]
            while parent:
                older = self.parents.get(parent, "")
                self._forget(parent)
                parent = older
            return True

    def _forget(self, refresh: str) -> None:
        self.parents.pop(refresh, None)
        for access in [one for one, belongs in self.live.items() if belongs == refresh]:
            del self.live[access]


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Stored]:
    stored = Stored.open(tmp_path / "site.db")
    yield stored
    stored.close()


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


def no_pause(_seconds: float) -> None:
    pass


def ring_on(
    stored: Stored,
    issuer: Issuer,
    timing: Timing = QUICK,
    pause: Callable[[float], None] = no_pause,
) -> TokenRing:
    return TokenRing(stored.tokens(), BASE_URL, issuer.refresh, timing=timing, pause=pause)


def save_expiring_in(stored: Stored, seconds: float) -> None:
    expires_at = now() + timedelta(seconds=seconds)
    stored.save("a0", "r0", expires_at=expires_at, lifetime_seconds=300)


def stored_access(stored: Stored) -> str:
    session = stored.tokens().read()
    assert session is not None
    return session.pair.access.reveal()


def test_a_token_that_is_good_for_long_is_used_as_it_is(stored: Stored, issuer: Issuer) -> None:
    save_expiring_in(stored, 250)
    assert ring_on(stored, issuer).token() == Secret("a0")
    assert issuer.exchanges == []


def test_a_token_of_unknown_life_is_used_until_it_is_rejected(
    stored: Stored, issuer: Issuer
) -> None:
    stored.save("a0", "r0")
    ring = ring_on(stored, issuer)
    assert ring.token() == Secret("a0")
    assert ring.replacement(Secret("a0")) == Secret("a1")
    assert issuer.exchanges == ["r0"]


@pytest.mark.parametrize(("seconds", "refreshed"), [(61, False), (59, True), (-5, True)])
def test_a_token_is_refreshed_a_minute_before_its_end(
    stored: Stored, issuer: Issuer, seconds: float, refreshed: bool
) -> None:
    save_expiring_in(stored, seconds)
    assert ring_on(stored, issuer).token() == Secret("a1" if refreshed else "a0")


def test_a_short_life_is_refreshed_in_its_last_fifth(stored: Stored, issuer: Issuer) -> None:
    stored.save("a0", "r0", expires_at=now() + timedelta(seconds=9), lifetime_seconds=30)
    assert ring_on(stored, issuer).token() == Secret("a0")
    stored.save("a0", "r0", expires_at=now() + timedelta(seconds=5), lifetime_seconds=30)
    assert ring_on(stored, issuer).token() == Secret("a1")


def test_the_new_pair_is_stored_before_anybody_gets_it(stored: Stored, issuer: Issuer) -> None:
    save_expiring_in(stored, 5)
    token = ring_on(stored, issuer).token()
    assert stored_access(stored) == token.reveal() == "a1"
    assert issuer.use(token)


def test_no_connection_is_checked_out_while_the_server_is_asked(
    stored: Stored, issuer: Issuer
) -> None:
    save_expiring_in(stored, 5)
    out = []

    def refresh(token: Secret, seconds: float) -> TokenPair:
        out.append(stored.checked_out())
        return issuer.refresh(token, seconds)

    TokenRing(stored.tokens(), BASE_URL, refresh, timing=QUICK).token()
    assert out == [0]


def test_many_callers_refresh_once_and_all_get_a_working_token(
    stored: Stored, issuer: Issuer
) -> None:
    save_expiring_in(stored, -5)
    start = threading.Barrier(12)
    worked = []

    def work() -> None:
        ring = ring_on(stored, issuer, Timing(), pause=threading.Event().wait)
        start.wait()
        worked.append(issuer.use(ring.token()))

    threads = [threading.Thread(target=work) for _number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert worked == [True] * 12
    assert issuer.exchanges == ["r0"]


def test_many_callers_whose_token_was_rejected_refresh_once(stored: Stored, issuer: Issuer) -> None:
    stored.save("dead", "r0")
    start = threading.Barrier(12)
    worked = []

    def work() -> None:
        ring = ring_on(stored, issuer, Timing(), pause=threading.Event().wait)
        token = ring.token()
        start.wait()
        worked.append(issuer.use(ring.replacement(token)))

    threads = [threading.Thread(target=work) for _number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert worked == [True] * 12
    assert issuer.exchanges == ["r0"]


def test_a_lost_reply_is_asked_for_again_with_the_same_token(
    stored: Stored, issuer: Issuer
) -> None:
    save_expiring_in(stored, -5)
    issuer.refresh(Secret("r0"), 1)  # this answer is lost
    issuer.faults = [Unreachable("lost"), Unreachable("lost")]
    ring = ring_on(stored, issuer, Timing(refresh=5))
    assert issuer.use(ring.token())
    assert issuer.exchanges == ["r0", "r0"]


def test_a_refresh_handled_late_leaves_the_previous_token_to_try(
    stored: Stored, issuer: Issuer
) -> None:
    save_expiring_in(stored, -5)
    ring = ring_on(stored, issuer)
    ring.token()
    issuer.refresh(Secret("r0"), 1)  # handled late: it kills the stored pair
    assert not issuer.use(Secret("a1"))
    assert issuer.use(ring.replacement(Secret("a1")))
    assert issuer.exchanges[-2:] == ["r1", "r0"]


def test_a_session_the_server_ended_needs_a_sign_in_and_nobody_asks_again(
    stored: Stored, issuer: Issuer
) -> None:
    save_expiring_in(stored, 250)
    issuer.parents.clear()
    ring = ring_on(stored, issuer)
    with pytest.raises(SignInNeeded, match=f"^{re.escape(ENDED)}$"):
        ring.replacement(Secret("a0"))
    asked = len(issuer.exchanges)
    for again in (ring, ring_on(stored, issuer)):
        with pytest.raises(SignInNeeded):
            again.token()
    assert len(issuer.exchanges) == asked
    session = stored.tokens().read()
    assert session is not None
    assert session.reason == ENDED


def test_a_rejected_token_without_a_refresh_token_needs_a_sign_in(
    stored: Stored, issuer: Issuer
) -> None:
    stored.save("a0", None)
    ring = ring_on(stored, issuer)
    assert ring.token() == Secret("a0")
    with pytest.raises(SignInNeeded):
        ring.replacement(Secret("a0"))
    session = stored.tokens().read()
    assert session is not None
    assert session.state == "sign_in_needed"


def test_without_any_session_a_sign_in_is_needed(stored: Stored, issuer: Issuer) -> None:
    with pytest.raises(SignInNeeded, match=f"^{re.escape(ENDED)}$"):
        ring_on(stored, issuer).token()


def test_why_a_sign_in_is_needed_is_said_as_it_was_stored(stored: Stored, issuer: Issuer) -> None:
    stored.save("a0", "r0")
    tokens = stored.tokens()
    assert tokens.take_lease("me", 1, 30)
    assert tokens.mark_sign_in_needed("me", 1, "Somebody else signed in.")
    with pytest.raises(SignInNeeded, match=r"^Somebody else signed in\.$"):
        ring_on(stored, issuer).token()


@pytest.mark.parametrize(("reread", "reads"), [(60.0, 1), (0.0, 3)])
def test_the_stored_session_is_read_again_after_a_while_only(
    stored: Stored, issuer: Issuer, reread: float, reads: int
) -> None:
    stored.save("a0", "r0")
    ring = ring_on(stored, issuer, Timing(reread=reread))
    count: list[int] = []
    read = ring._store.read
    ring._store.read = lambda: count.append(1) or read()  # type: ignore[method-assign, func-returns-value]
    assert [ring.token() for _time in range(3)] == [Secret("a0")] * 3
    assert len(count) == reads


def test_a_session_for_another_server_is_not_used_for_this_one(
    stored: Stored, issuer: Issuer
) -> None:
    stored.save("a0", "r0", base_url="https://other.example")
    with pytest.raises(Unreachable, match=CHANGED):
        ring_on(stored, issuer).token()


def test_a_session_of_another_account_is_not_used_in_the_middle_of_a_job(
    stored: Stored, issuer: Issuer
) -> None:
    stored.save("a0", "r0", user_id="@bot:hs.example")
    ring = ring_on(stored, issuer)
    ring.bind("@bot:hs.example")
    assert ring.token() == Secret("a0")
    stored.save("a9", "r9", user_id="@other:hs.example")
    with pytest.raises(Unreachable, match=CHANGED):
        ring.token()


def test_a_token_that_still_works_is_used_while_somebody_else_refreshes(
    stored: Stored, issuer: Issuer
) -> None:
    save_expiring_in(stored, 5)
    assert stored.tokens().take_lease("somebody else", 1, 30)
    assert ring_on(stored, issuer).token() == Secret("a0")
    assert issuer.exchanges == []


def test_who_has_no_working_token_waits_for_the_one_who_refreshes(
    stored: Stored, issuer: Issuer
) -> None:
    save_expiring_in(stored, -5)
    other = stored.tokens()
    assert other.take_lease("other", 1, 30)
    waits: list[float] = []

    def pause(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            pair = issuer.refresh(Secret("r0"), 1)
            assert other.rotate("other", 1, pair, Secret("r0"))

    ring = ring_on(stored, issuer, Timing(), pause)
    assert ring.token() == Secret("a1")
    assert len(waits) == 3
    assert all(0.05 <= seconds <= 0.1 for seconds in waits)


def test_who_waited_too_long_gives_up_and_can_come_back(stored: Stored, issuer: Issuer) -> None:
    save_expiring_in(stored, -5)
    assert stored.tokens().take_lease("other", 1, 30)
    with pytest.raises(Unreachable, match=f"^{re.escape(BUSY)}$"):
        ring_on(stored, issuer, pause=threading.Event().wait).token()
    assert issuer.exchanges == []


def test_the_lease_of_a_killed_refresher_is_taken_over(stored: Stored, issuer: Issuer) -> None:
    save_expiring_in(stored, -5)
    assert stored.tokens().take_lease("killed", 1, -1)
    assert ring_on(stored, issuer).token() == Secret("a1")


def test_no_reply_by_the_deadline_frees_the_lease_soon(stored: Stored, issuer: Issuer) -> None:
    save_expiring_in(stored, -5)
    issuer.faults = [Unreachable("no answer")] * 100_000
    with pytest.raises(Unreachable):
        ring_on(stored, issuer, pause=threading.Event().wait).token()
    session = stored.tokens().read()
    assert session is not None
    assert session.state == "ok"
    with stored.database.read() as connection:
        row = connection.exec_driver_sql("SELECT lease_until FROM commweb_connection").one()
    assert row.lease_until < (now() + timedelta(seconds=1.1)).strftime("%Y-%m-%d %H:%M:%S.%f")


@pytest.mark.parametrize("status", [400, 404])
def test_a_refusal_that_is_not_about_the_token_does_not_end_the_session(
    stored: Stored, issuer: Issuer, status: int
) -> None:
    save_expiring_in(stored, -5)
    issuer.faults = [Refused("odd", status=status)]
    with pytest.raises(Refused):
        ring_on(stored, issuer).token()
    session = stored.tokens().read()
    assert session is not None
    assert session.state == "ok"


def test_an_admin_who_signs_in_during_a_refresh_wins(stored: Stored, issuer: Issuer) -> None:
    save_expiring_in(stored, -5)

    def refresh(token: Secret, seconds: float) -> TokenPair:
        stored.save("admin-a", "admin-r")
        return issuer.refresh(token, seconds)

    ring = TokenRing(stored.tokens(), BASE_URL, refresh, timing=QUICK)
    assert ring.token() == Secret("admin-a")
    assert stored_access(stored) == "admin-a"


def test_an_admin_who_signs_in_while_the_old_session_is_refused_wins(
    stored: Stored, issuer: Issuer
) -> None:
    save_expiring_in(stored, -5)

    def refresh(token: Secret, seconds: float) -> TokenPair:
        stored.save("admin-a", "admin-r")
        raise Refused("unknown", status=401)

    ring = TokenRing(stored.tokens(), BASE_URL, refresh, timing=QUICK)
    assert ring.token() == Secret("admin-a")


@pytest.mark.parametrize("refused", [True, False])
def test_a_session_stored_during_a_refresh_that_is_due_itself_is_refreshed_too(
    stored: Stored, issuer: Issuer, refused: bool
) -> None:
    save_expiring_in(stored, -5)
    issuer.parents["admin-r"] = ""

    def refresh(token: Secret, seconds: float) -> TokenPair:
        if token != Secret("r0"):
            return issuer.refresh(token, seconds)
        stored.save("admin-a", "admin-r", expires_at=now(), lifetime_seconds=300)
        if refused:
            raise Refused("unknown", status=401)
        return issuer.refresh(token, seconds)

    ring = TokenRing(stored.tokens(), BASE_URL, refresh, timing=Timing(reread=0))
    assert issuer.use(ring.token())
    assert issuer.exchanges[-1] == "admin-r"


def test_lost_replies_are_asked_for_again_after_longer_and_longer_pauses(
    stored: Stored, issuer: Issuer
) -> None:
    save_expiring_in(stored, -5)
    issuer.faults = [Unreachable("lost")] * 6
    waits: list[float] = []
    assert ring_on(stored, issuer, Timing(refresh=20), waits.append).token() == Secret("a1")
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_nothing_is_asked_once_the_time_for_a_refresh_is_over(
    stored: Stored, issuer: Issuer
) -> None:
    save_expiring_in(stored, -5)
    left: list[float] = []

    def refresh(_token: Secret, seconds: float) -> TokenPair:
        left.append(seconds)
        raise Unreachable("lost")

    pause = threading.Event().wait
    ring = TokenRing(stored.tokens(), BASE_URL, refresh, timing=QUICK, pause=pause)
    with pytest.raises(Unreachable, match="lost"):
        ring.token()
    assert len(left) <= 2, "after 0.1 s once more, and not after 0.3"
    assert all(seconds <= QUICK.refresh for seconds in left)


def test_the_rows_token_is_used_when_it_is_not_the_one_that_failed(
    stored: Stored, issuer: Issuer
) -> None:
    save_expiring_in(stored, 250)
    assert ring_on(stored, issuer).replacement(Secret("older")) == Secret("a0")
    assert issuer.exchanges == []


def test_tokens_of_an_account_nobody_knows_yet_are_not_used_in_the_middle_of_a_job(
    stored: Stored, issuer: Issuer
) -> None:
    stored.save("a0", "r0", user_id="@bot:hs.example")
    ring = ring_on(stored, issuer)
    ring.bind("@bot:hs.example")
    stored.save("a9", "r9")
    with pytest.raises(Unreachable, match=CHANGED):
        ring.token()


def test_a_new_pair_of_the_same_account_goes_on_with_the_job(
    stored: Stored, issuer: Issuer
) -> None:
    stored.save("a0", "r0", user_id="@bot:hs.example")
    ring = ring_on(stored, issuer)
    ring.bind("@bot:hs.example")
    stored.save("a9", "r9", user_id="@bot:hs.example")
    assert ring.token() == Secret("a9")


def test_the_lease_outlasts_the_longest_refresh(stored: Stored, issuer: Issuer) -> None:
    """Else a second caller would refresh while the first one's answer is on its way."""
    save_expiring_in(stored, -5)
    timing = Timing()
    left: list[float] = []

    def refresh(token: Secret, seconds: float) -> TokenPair:
        assert seconds <= timing.refresh
        with stored.database.read() as connection:
            holder, until = connection.execute(select(Row.lease, Row.lease_until)).one()
        assert holder, "nobody else takes it"
        left.append((until - now()).total_seconds() - seconds)
        return issuer.refresh(token, seconds)

    TokenRing(stored.tokens(), BASE_URL, refresh, timing=timing).token()
    assert left[0] > 10


# What is sent with the ring's tokens.


class Line:
    """Answers with what ``answers`` say, in order, and writes down what was sent."""

    call_seconds = 30.0

    def __init__(self, *answers: Exception | Answer) -> None:
        self.answers = list(answers)
        self.sent: list[tuple[str, str, Any, Any, str]] = []

    def call(
        self, method: str, path: str, *, body: Any = None, query: Any = None, token: Secret
    ) -> Answer:
        self.sent.append((method, path, body, query, token.reveal()))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


GOOD = Answer(200, {"user_id": "@bot:hs.example"})
REJECTED = Refused("unknown", status=401, errcode="M_UNKNOWN_TOKEN")


def caller(stored: Stored, issuer: Issuer, line: Line) -> SignedCaller:
    stored.save("a0", "r0")
    return SignedCaller(line, ring_on(stored, issuer), stored.tokens())  # type: ignore[arg-type]


def test_a_request_whose_token_was_rejected_is_repeated_as_it_was(
    stored: Stored, issuer: Issuer
) -> None:
    line = Line(REJECTED, GOOD)
    said: list[float] = []
    calls = caller(stored, issuer, line)
    calls.before_request = said.append
    assert calls.call("PUT", "/name", body={"name": "Ada"}, query={"ts": "1"}) is GOOD
    request = ("PUT", "/name", {"name": "Ada"}, {"ts": "1"})
    assert line.sent == [(*request, "a0"), (*request, "a1")]
    assert said == [30.0, 30.0], "how long each may take"


def test_a_good_answer_is_asked_for_once(stored: Stored, issuer: Issuer) -> None:
    line = Line(GOOD)
    assert caller(stored, issuer, line).call("GET", "/whoami") is GOOD
    assert line.sent == [("GET", "/whoami", None, None, "a0")]


@pytest.mark.parametrize(
    ("status", "errcode"), [(401, "M_USER_LOCKED"), (401, None), (403, "M_UNKNOWN_TOKEN")]
)
def test_no_other_refusal_costs_the_token(
    stored: Stored, issuer: Issuer, status: int, errcode: str | None
) -> None:
    line = Line(Refused("No.", status=status, errcode=errcode))
    with pytest.raises(Refused, match="No"):
        caller(stored, issuer, line).call("GET", "/whoami")
    assert len(line.sent) == 1
    assert issuer.exchanges == []


def test_a_new_token_that_is_rejected_too_is_no_answer(stored: Stored, issuer: Issuer) -> None:
    line = Line(REJECTED, REJECTED)
    words = r"^The homeserver rejected a new access token\.$"
    with pytest.raises(Unreachable, match=words) as caught:
        caller(stored, issuer, line).call("GET", "/whoami")
    assert caught.value.status == 401
    assert len(line.sent) == 2


@pytest.mark.parametrize(("asked", "seconds"), [(60.0, 60.0), (None, 0.0)])
def test_a_pause_that_the_server_asks_for_is_everybodys(
    stored: Stored, issuer: Issuer, asked: float | None, seconds: float
) -> None:
    line = Line(REJECTED, RateLimited("Wait.", retry_after_seconds=asked))
    pause, before = timedelta(seconds=seconds), now()
    with pytest.raises(RateLimited):
        caller(stored, issuer, line).call("GET", "/whoami")
    session = stored.tokens().read()
    assert session is not None
    assert session.blocked_until is not None
    assert before + pause <= session.blocked_until <= now() + pause
