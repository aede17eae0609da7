"""One open session: whose it is, and that it goes on being theirs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from commweb.encryption import Secret
from commweb.errors import SignInNeeded, Unreachable
from commweb.providers.matrix.session import Acting, HomeserverSession
from tests.stored_session import Stored

BOT = "@bot:hs.example"


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Stored]:
    stored = Stored.open(tmp_path / "site.db")
    stored.save("a0", "r0", user_id=BOT)
    stored.tokens().set_identity(1, BOT, "hs.example")
    yield stored
    stored.close()


def test_a_job_that_began_as_one_account_never_goes_on_as_another(stored: Stored) -> None:
    session = HomeserverSession.open(stored.context())
    try:
        assert session.acting() == Acting(BOT, "hs.example")
        assert session.ring.replacement(Secret("older")) == Secret("a0")
        stored.save("a1", "r1", user_id="@other:hs.example")
        with pytest.raises(Unreachable, match="changed meanwhile"):
            session.ring.replacement(Secret("a0"))
    finally:
        session.close()


def test_tokens_for_another_server_open_nothing(stored: Stored) -> None:
    with pytest.raises(SignInNeeded, match="No tokens are stored for this homeserver"):
        HomeserverSession.open(stored.context("https://other.example"))
