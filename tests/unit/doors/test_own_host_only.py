"""A token goes to the homeserver it belongs to, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from werkzeug.test import TestResponse

from commweb.connection import StoredTokens
from commweb.errors import EncryptionError, ProviderError, SignInNeeded, Unreachable
from commweb.providers.matrix.session import HomeserverSession
from commweb.site import comm
from tests.unit.doors.homeserver import Homeserver, Seen, Told, homeserver
from tests.unit.doors.planted import (
    ACCESS,
    MATRIX_PASSWORD,
    PREVIOUS,
    REFRESH,
    TYPED_ACCESS,
    TYPED_REFRESH,
    found_in,
)
from tests.unit.doors.table import MATRIX, POSTS
from tests.unit.doors.world import World

pytestmark = pytest.mark.local_server

OLD = {"access", "refresh", "previous", "first_access"}
(SAVE,) = [row for row in POSTS if row.rule == MATRIX]
(SIGN_IN,) = [row for row in POSTS if row.rule == f"{MATRIX}/sign-in"]


@pytest.fixture
def other() -> Iterator[Homeserver]:
    """The homeserver that an administrator, or somebody on the way, would send tokens to."""
    with homeserver("other-access", "other-refresh") as server:
        yield server


def save(world: World, **typed: str) -> TestResponse:
    fields = {**SAVE.fields(world), "access_token": "", "refresh_token": "", **typed}
    return world.ask("admin", "POST", MATRIX, fields)


def spellings(url: str) -> list[str]:
    """Addresses of the same server that are another place all the same."""
    port = urlsplit(url).port
    return [
        f"http://localhost:{port}",
        f"http://127.0.0.2:{port}",
        f"{url}/other",
        f"https{url[4:]}",
    ]


def test_another_homeserver_is_refused_without_tokens_of_its_own(
    world: World, other: Homeserver
) -> None:
    before = world.dump()
    for address in [other.url, *spellings(world.homeserver.url)]:
        answer = save(world, home_server_url=address)
        assert answer.status_code == 422
        assert "is not sent elsewhere" in answer.text
    assert world.dump() == before
    assert other.requests == []


@pytest.mark.parametrize(
    "typed",
    [{"access_token": TYPED_ACCESS}, {"refresh_token": TYPED_REFRESH}],
    ids=["access", "refresh"],
)
def test_one_new_token_does_not_take_the_other_old_one_along(
    world: World, other: Homeserver, typed: dict[str, str]
) -> None:
    before = world.dump()
    assert save(world, home_server_url=other.url, **typed).status_code == 422
    assert world.dump() == before
    assert other.requests == []


def test_after_the_change_only_the_new_tokens_are_sent(world: World, other: Homeserver) -> None:
    answer = save(
        world,
        home_server_url=other.url,
        access_token=TYPED_ACCESS,
        refresh_token=TYPED_REFRESH,
    )
    assert answer.status_code == 303
    world.ask("admin", "POST", f"{MATRIX}/test", {})
    world.ask("admin", "POST", f"{MATRIX}/lift-limits", {})
    assert f"Bearer {TYPED_ACCESS}" in other.text
    assert found_in(other.text) == {"typed_access"}
    only_its_own_session_was_to_be_ended(world.homeserver)


def only_its_own_session_was_to_be_ended(server: Homeserver) -> None:
    """A server that was left is asked about the session it issued, and told nothing new."""
    asked = {seen.path.rpartition("/")[2] for seen in server.requests}
    assert asked <= {"whoami", "logout"}
    assert found_in(server.text) <= {"access"}


def test_a_new_server_that_knows_no_token_is_not_offered_an_old_one(
    world: World, other: Homeserver
) -> None:
    other.instead = lambda seen: (
        None if "versions" in seen.path else Told(401, {"errcode": "M_UNKNOWN_TOKEN"})
    )
    save(
        world,
        home_server_url=other.url,
        access_token=TYPED_ACCESS,
        refresh_token=TYPED_REFRESH,
    )
    paths = [seen.path for seen in other.requests]
    assert "/_matrix/client/v3/refresh" in paths
    assert found_in(other.text) == {"typed_access", "typed_refresh"}


def test_signing_in_elsewhere_sends_the_password_there_and_no_old_token(
    world: World, other: Homeserver
) -> None:
    fields = {**SIGN_IN.fields(world), "home_server_url": other.url}
    assert world.ask("admin", "POST", SIGN_IN.rule, fields).status_code == 303
    assert MATRIX_PASSWORD in other.text
    assert found_in(other.text) == {"matrix_password"}
    only_its_own_session_was_to_be_ended(world.homeserver)


def test_settings_saved_by_a_script_take_no_token_along(world: World, other: Homeserver) -> None:
    with world.app.app_context():
        comm.configure("matrix", {"home_server_url": other.url})
    world.ask("admin", "POST", f"{MATRIX}/test", {})
    assert other.requests == []
    rows = world.dump()["commweb_connection"]
    assert [(row["access"], row["refresh"], row["previous"]) for row in rows] == [(None,) * 3]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_takes_nothing_along(world: World, other: Homeserver, status: int) -> None:
    def away(seen: Seen) -> Told:
        return Told(status, {}, {"Location": other.url + seen.path})

    world.homeserver.instead = away
    world.ask("admin", "POST", f"{MATRIX}/test", {})
    page = world.ask("admin", "POST", SIGN_IN.rule, SIGN_IN.fields(world))
    assert page.status_code == 422
    assert f"enter {other.url} instead" in page.text
    refresh(world)
    assert found_in(world.homeserver.text) >= {"matrix_password", "refresh"}
    assert other.requests == []


def refresh(world: World) -> None:
    """Make the site exchange its refresh token, as it does when the access token ends."""
    world.execute("UPDATE commweb_connection SET expires_at = '2000-01-01 00:00:00'")
    with world.app.app_context():
        state = world.app.extensions["commweb"]
        context = state.context(state.registry.get("matrix"))
        session = HomeserverSession.open(context, seconds=5)
        try:
            with pytest.raises(ProviderError):
                session.ring.token()
        finally:
            session.close()


def test_proxies_and_netrc_of_the_environment_get_nothing(
    world: World, other: Homeserver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("default login me password from-netrc\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, other.url)
        monkeypatch.setenv(name.upper(), other.url)
    assert world.ask("admin", "POST", f"{MATRIX}/test", {}).status_code == 303
    assert world.ask("admin", "POST", SIGN_IN.rule, SIGN_IN.fields(world)).status_code == 303
    assert other.requests == []
    signed = [seen.headers["Authorization"] for seen in world.homeserver.requests
              if "Authorization" in seen.headers]  # fmt: skip
    assert set(signed) == {f"Bearer {ACCESS}"}


def test_work_that_started_before_the_change_does_not_mix_hosts_and_tokens(
    world: World, other: Homeserver
) -> None:
    """A worker that holds a session of the old server while the settings change."""
    with world.app.app_context():
        state = world.app.extensions["commweb"]
        session = HomeserverSession.open(state.context(state.registry.get("matrix")), seconds=5)
    try:
        comm_configure(world, other)
        with pytest.raises(Unreachable, match="changed"):
            session.client.whoami()
    finally:
        session.close()
    assert "typed_access" not in found_in(world.homeserver.text)
    assert other.requests == []


def comm_configure(world: World, server: Homeserver) -> None:
    with world.app.app_context():
        comm.configure(
            "matrix",
            {"home_server_url": server.url},
            access_token=TYPED_ACCESS,
            refresh_token=TYPED_REFRESH,
        )


def tokens(world: World) -> StoredTokens:
    state = world.app.extensions["commweb"]
    found: StoredTokens = state.tokens(state.registry.get("matrix"))
    return found


def test_a_token_moved_to_another_host_in_the_database_cannot_be_opened(
    world: World, other: Homeserver
) -> None:
    world.execute("UPDATE commweb_connection SET base_url = ?", other.url)
    world.execute(
        "UPDATE commweb_setting SET value = ? WHERE key = 'home_server_url'", f'"{other.url}"'
    )
    with world.app.app_context():
        state = world.app.extensions["commweb"]
        session = HomeserverSession.open(state.context(state.registry.get("matrix")), seconds=5)
        try:
            with pytest.raises(SignInNeeded):
                session.client.whoami()
        finally:
            session.close()
    world.ask("admin", "POST", f"{MATRIX}/test", {})
    assert found_in(other.text) == set()


def test_a_sealed_token_opens_only_for_its_provider_its_host_and_its_place(world: World) -> None:
    (row,) = world.dump()["commweb_connection"]
    sealer = world.app.extensions["commweb"].sealer
    here = (row["provider"], row["base_url"])
    assert sealer.open(row["access"], (*here, "access")).reveal() == ACCESS
    assert sealer.open(row["refresh"], (*here, "refresh")).reveal() == REFRESH
    assert sealer.open(row["previous"], (*here, "previous")).reveal() == PREVIOUS
    for context in (
        (*here, "refresh"),
        ("other", row["base_url"], "access"),
        ("matrix", "https://elsewhere.test", "access"),
    ):
        with pytest.raises(EncryptionError):
            sealer.open(row["access"], context)


def test_tokens_stored_for_another_server_are_not_configured(world: World) -> None:
    world.execute("UPDATE commweb_setting SET value = '\"https://elsewhere.test\"' "
                  "WHERE key = 'home_server_url'")  # fmt: skip
    with world.app.app_context():
        state = world.app.extensions["commweb"]
        assert not state.provider_state(state.registry.get("matrix")).configured
        with pytest.raises(SignInNeeded):
            HomeserverSession.open(state.context(state.registry.get("matrix")))
        assert tokens(world).read() is not None
