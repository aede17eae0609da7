"""A real Synapse for the live tests: one for the whole test process, and others on request.

Nothing is skipped: where Synapse is missing it is installed, and where that fails the tests fail.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from commweb.site.homeserver import Homeserver, install_synapse

ADMIN = "admin"
# Without these the fifth sign-in of a test run would have to wait for minutes.
MANY_LOGINS = {
    "rc_login": {
        kind: {"per_second": 1000, "burst_count": 1000}
        for kind in ("address", "account", "failed_attempts")
    }
}
CHEAP_PASSWORDS = {"bcrypt_rounds": 4}


@dataclass(frozen=True)
class AdminSession:
    """A sign-in of the server's admin, as an admin would paste it into the settings."""

    homeserver: Homeserver = field(repr=False)
    base_url: str
    user_id: str
    device_id: str
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in_ms: int | None


@pytest.fixture(scope="session")
def synapse_python() -> Path:
    """The interpreter that has Synapse; installs it when it is missing."""
    return install_synapse(say=print)


@pytest.fixture(scope="session")
def admin_password() -> str:
    """The password of ``admin`` on every homeserver of this test process."""
    return secrets.token_urlsafe(12)


def _started(homeserver: Homeserver, admin_password: str) -> Homeserver:
    homeserver.start()
    try:
        homeserver.register_admin(ADMIN, admin_password)
    except BaseException:
        homeserver.stop()
        raise
    return homeserver


@pytest.fixture(scope="session")
def homeserver(
    synapse_python: Path, admin_password: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Homeserver]:
    """One real Synapse for this test process, with ``admin`` as its admin.

    Default rate limits, except that one may sign in often. Tests share it: they use names of
    their own (see `unique`) and neither stop it nor change its configuration.
    """
    server = Homeserver(
        tmp_path_factory.mktemp("homeserver"),
        synapse_python,
        config={**MANY_LOGINS, **CHEAP_PASSWORDS},
    )
    _started(server, admin_password)
    yield server
    server.stop()


@pytest.fixture
def make_homeserver(
    synapse_python: Path, admin_password: str, tmp_path: Path
) -> Iterator[Callable[..., Homeserver]]:
    """Make a started Synapse of the test's own, stopped at its end.

    Arguments are those of `Homeserver` (``refreshable_access_token_lifetime="2s"``,
    ``server_name``, ``config``). ``default_login_limits=True`` keeps Synapse's strict limit.
    """
    made: list[Homeserver] = []

    def make(
        *, default_login_limits: bool = False, config: dict[str, Any] | None = None, **options: Any
    ) -> Homeserver:
        base = CHEAP_PASSWORDS if default_login_limits else {**MANY_LOGINS, **CHEAP_PASSWORDS}
        folder = tmp_path / f"homeserver-{len(made)}"
        server = Homeserver(folder, synapse_python, config={**base, **(config or {})}, **options)
        made.append(server)
        return _started(server, admin_password)

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def sign_in(admin_password: str) -> Callable[[Homeserver], AdminSession]:
    """Sign the admin in to a homeserver: a token pair that nobody else uses."""

    def sign_in(homeserver: Homeserver) -> AdminSession:
        answer = homeserver.login(ADMIN, admin_password, refresh_token=True)
        return AdminSession(
            homeserver=homeserver,
            base_url=homeserver.base_url,
            user_id=answer["user_id"],
            device_id=answer["device_id"],
            access_token=answer["access_token"],
            refresh_token=answer["refresh_token"],
            expires_in_ms=answer.get("expires_in_ms"),
        )

    return sign_in


@pytest.fixture
def admin_session(
    homeserver: Homeserver, sign_in: Callable[[Homeserver], AdminSession]
) -> AdminSession:
    """A fresh token pair of the shared homeserver's admin, this test's own."""
    return sign_in(homeserver)


@pytest.fixture
def lift_limits() -> Callable[[Homeserver], None]:
    """Free the admin from all rate limits but the one on signing in."""

    def lift(homeserver: Homeserver) -> None:
        admin = homeserver.user_id(ADMIN).replace("@", "%40").replace(":", "%3A")
        homeserver.admin(
            "POST",
            f"/_synapse/admin/v1/users/{admin}/override_ratelimit",
            json={"messages_per_second": 0, "burst_count": 0},
        )

    return lift


@pytest.fixture
def unique() -> str:
    """A short lower-case word no other test uses, for names on the shared homeserver."""
    return f"t{secrets.token_hex(4)}"


@pytest.fixture
def make_people(unique: str) -> Callable[..., list[str]]:
    """Make accounts on a homeserver; answers their user names. The password is ``unique``."""

    def make(homeserver: Homeserver, count: int) -> list[str]:
        names = [f"{unique}-{number}" for number in range(1, count + 1)]
        homeserver.ensure_people([(name, name.upper()) for name in names], unique)
        return names

    return make
