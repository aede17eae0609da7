"""What a running site's homeserver knows, asked with the token that ``make run`` leaves."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote

import requests

from tests.browser.running import RunningSite
from tests.synapse_eyes import SynapseEyes

__all__ = ["NotedHomeserver", "eyes_of", "until"]

T = TypeVar("T")
PATIENCE_SECONDS = 30.0


class NotedHomeserver:
    """The homeserver that ``homeserver.json`` names."""

    def __init__(self, site: RunningSite) -> None:
        self._note = site.note()
        self.user_id = self._note["user_id"]

    def admin(self, method: str, path: str, **more: Any) -> Any:
        """One request as the server's admin; the answer's JSON."""
        answer = requests.request(
            method,
            self._note["base_url"] + path,
            headers={"Authorization": f"Bearer {self._note['access_token']}"},
            timeout=30,
            **more,
        )
        answer.raise_for_status()
        return answer.json()

    def _limits(self, method: str, **more: Any) -> Any:
        user = quote(self.user_id, safe="")
        path = f"/_synapse/admin/v1/users/{user}/override_ratelimit"
        return self.admin(method, path, **more)

    def lift_limits(self) -> None:
        """Free the site's account from the rate limits, which a row of tests would run into."""
        self._limits("POST", json={"messages_per_second": 0, "burst_count": 0})

    def put_limits_in_force(self) -> None:
        self._limits("DELETE")

    def limits_are_lifted(self) -> bool:
        return bool(self._limits("GET"))


def eyes_of(site: RunningSite) -> SynapseEyes:
    return SynapseEyes(NotedHomeserver(site))  # type: ignore[arg-type]


def until(look: Callable[[], T], good: Callable[[T], object]) -> T:
    """Look until it is good; what was seen last if it never is, for the test to compare."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        seen = look()
        if good(seen) or time.monotonic() > deadline:
            return seen
        time.sleep(0.2)
