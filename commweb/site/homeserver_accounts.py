"""Accounts of a local homeserver: creating them, signing in, acting as its admin.

Source of the calls: Synapse admin API ("Register users by shared secret", "User admin API") and
the Matrix client-server API (login, whoami).
"""

from __future__ import annotations

import hashlib
import hmac
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import requests

from commweb.site.homeserver_install import HomeserverError

__all__ = ["Accounts", "session"]

_ANSWER_WITHIN_SECONDS = 30.0


@dataclass(kw_only=True)
class Accounts(ABC):
    """What one asks of a running homeserver. Every method raises `HomeserverError`.

    ``admin_token`` is what `ensure_people` and `admin` act with; `register_admin` sets it.
    """

    admin_token: str | None = field(default=None, repr=False)
    registration_secret: str = field(default="", init=False, repr=False)

    @property
    @abstractmethod
    def base_url(self) -> str: ...

    @property
    @abstractmethod
    def server(self) -> str:
        """The server name, the part of a user id after the colon."""

    @abstractmethod
    def last_words(self) -> str: ...

    def user_id(self, username: str) -> str:
        return f"@{username}:{self.server}"

    def register_admin(self, username: str, password: str) -> bool:
        """Create a server admin and act as it from now on. False: the account was there already.

        Uses the shared secret of the configuration, so nobody has to be signed in.
        """
        url = "/_synapse/admin/v1/register"
        nonce = self._call("GET", url).json()["nonce"]
        parts = "\0".join((nonce, username, password, "admin"))
        mac = hmac.new(self.registration_secret.encode(), parts.encode(), hashlib.sha1).hexdigest()
        body = {"nonce": nonce, "username": username, "password": password, "admin": True}
        answer = self._call("POST", url, json={**body, "mac": mac}, accept=(400,))
        if answer.ok:
            self.admin_token = answer.json()["access_token"]
            return True
        if _errcode(answer) == "M_USER_IN_USE":
            return False
        raise HomeserverError(f"The account {username} could not be created: {_errcode(answer)}.")

    def login(self, username: str, password: str, *, refresh_token: bool = False) -> dict[str, Any]:
        """Sign in with a password and answer what the server said.

        ``user_id``, ``access_token``, ``device_id``; with ``refresh_token`` also ``refresh_token``
        and ``expires_in_ms``. Raises `HomeserverError` with the reason.
        """
        body = {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": username},
            "password": password,
            "refresh_token": refresh_token,
        }
        answer = self._call("POST", "/_matrix/client/v3/login", json=body, accept=(403, 429))
        if answer.status_code == 403:
            raise HomeserverError(f"The homeserver does not accept the password of {username}.")
        if answer.status_code == 429:
            seconds = int(answer.headers.get("Retry-After", "60"))
            raise HomeserverError(
                f"The homeserver allows no sign-in for {username} now; try again in {seconds} "
                "seconds."
            )
        return dict(answer.json())

    def token_works(self, access_token: str) -> bool:
        """Whether the server still knows this access token."""
        path = "/_matrix/client/v3/account/whoami"
        return self._call("GET", path, token=access_token, accept=(401,)).ok

    def ensure_people(self, people: Iterable[tuple[str, str]], password: str) -> None:
        """Create or change accounts, (username, display name) each, with this password.

        Nobody is signed out by it. Needs ``admin_token``. For tests: ``make run`` leaves it to
        commweb to create the accounts of people.
        """
        for username, display_name in people:
            body = {"displayname": display_name, "password": password, "logout_devices": False}
            self.admin("PUT", f"/_synapse/admin/v2/users/{self._quoted(username)}", json=body)

    def account(self, username: str) -> dict[str, Any] | None:
        """What the server says of an account ("Query User Account"); None: there is none."""
        path = f"/_synapse/admin/v2/users/{self._quoted(username)}"
        answer = self._admin("GET", path, accept=(404,))
        if answer.ok:
            return dict(answer.json())
        if _errcode(answer) == "M_NOT_FOUND":
            return None
        raise HomeserverError(f"The homeserver refused GET {path}: 404 {_errcode(answer)}.")

    def set_password(self, username: str, password: str) -> None:
        """Give an account another password ("Reset password"). It creates none, and signs nobody
        out.
        """
        path = f"/_synapse/admin/v1/reset_password/{self._quoted(username)}"
        self._admin("POST", path, json={"new_password": password, "logout_devices": False})

    def _quoted(self, username: str) -> str:
        return quote(self.user_id(username), safe="")

    def admin(self, method: str, path: str, *, json: Any = None) -> Any:
        """Any call with the admin's token; answers the decoded reply. Raises `HomeserverError`."""
        return self._admin(method, path, json=json).json()

    def _admin(
        self, method: str, path: str, *, json: Any = None, accept: tuple[int, ...] = ()
    ) -> requests.Response:
        if self.admin_token is None:
            raise HomeserverError("Nobody is signed in to the homeserver as its admin.")
        return self._call(method, path, json=json, token=self.admin_token, accept=accept)

    def _call(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        token: str | None = None,
        accept: tuple[int, ...] = (),
    ) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else None
        try:
            with session() as http:
                answer = http.request(
                    method,
                    self.base_url + path,
                    json=json,
                    headers=headers,
                    timeout=_ANSWER_WITHIN_SECONDS,
                )
        except requests.RequestException as error:
            raise HomeserverError(
                f"The homeserver at {self.base_url} does not answer. {self.last_words()}"
            ) from error
        if not (answer.ok or answer.status_code in accept):
            where = path.split("?", maxsplit=1)[0]
            raise HomeserverError(
                f"The homeserver refused {method} {where}: {answer.status_code} {_errcode(answer)}."
            )
        return answer


def session() -> requests.Session:
    """An HTTP session that takes nothing from the environment: no proxy, no ``~/.netrc``."""
    made = requests.Session()
    made.trust_env = False
    return made


def _errcode(answer: requests.Response) -> str:
    try:
        return str(answer.json().get("errcode", ""))
    except (ValueError, AttributeError):
        return ""
