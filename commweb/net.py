"""One door for every address a person typed: what may be dialled, and how.

A `Door` resolves a name once per connection, checks every address it has, and dials the literal
address it checked, so that no second lookup can lead elsewhere. The name still makes the Host
header, SNI and certificate check. Nothing is read from the environment (proxies, ``~/.netrc``),
redirects are answers, replies have a largest size, and one deadline bounds name lookup, connect,
headers and body together, however slowly they drip.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy

import requests
import urllib3
from requests.structures import CaseInsensitiveDict

from commweb.addresses import is_plain_http_to_elsewhere, normalise_url, url_problem
from commweb.errors import AddressRefused, Unreachable
from commweb.i18n import gettext as _
from commweb.pinned import CHUNK_BYTES, Guard, GuardedAdapter, Resolve

__all__ = [
    "Door",
    "NetworkPolicy",
    "Reply",
    "is_plain_http_to_elsewhere",
    "normalise_url",
    "url_problem",
]

MAX_REPLY_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True)
class NetworkPolicy:
    """What an operator allows. ``allowed_private_hosts``: host names or networks.

    With an ``http_proxy`` the proxy resolves names; only addresses written as such are checked.
    ``before_send`` is called before each request: tests refuse to send while the thread has a
    database connection checked out.
    """

    allowed_private_hosts: tuple[str, ...] = ()
    ca_bundle: str | None = None
    http_proxy: str | None = None
    before_send: Callable[[], None] | None = None


@dataclass(frozen=True)
class Reply:
    """An answer, whatever its status. ``headers`` ignore case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:  # a body may hold tokens
        return f"<Reply {self.status}, {len(self.body)} bytes>"


class Door:
    """Sends requests where the policy lets them go. Keeps connections open until `close`.

    ``resolve`` is `socket.getaddrinfo` or something like it.
    """

    def __init__(self, policy: NetworkPolicy, *, resolve: Resolve | None = None) -> None:
        self._policy = policy
        self._guard = Guard(policy.allowed_private_hosts, resolve)
        self._session = _open_session(policy, self._guard)

    def __enter__(self) -> Door:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        deadline_seconds: float = 30.0,
        max_bytes: int = MAX_REPLY_BYTES,
    ) -> Reply:
        """The whole answer, within ``deadline_seconds`` by our own clock.

        Raises `AddressRefused` for an address the policy does not allow and `Unreachable` when
        no complete answer came. Neither names a header or a body.
        """
        host = _host_of(url)
        self._guard.check_name(host)
        if self._policy.before_send is not None:
            self._policy.before_send()
        self._guard.start(deadline_seconds)
        try:
            return self._exchange(method, url, dict(headers or {}), body, max_bytes)
        except requests.exceptions.SSLError:
            problem = _("The certificate of %(host)s could not be verified.", host=host)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError):
            problem = self._no_answer(host, deadline_seconds)
        except _TooLarge:
            problem = _("%(host)s sent a reply that is too large.", host=host)
        # Outside the except blocks: the causes hold the request with its headers.
        raise Unreachable(problem)

    def _exchange(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None, max_bytes: int
    ) -> Reply:
        with self._session.request(
            method,
            url,
            headers=headers,
            data=body,
            allow_redirects=False,
            stream=True,
            timeout=self._guard.left(),
        ) as response:
            received = bytearray()
            for chunk in response.iter_content(CHUNK_BYTES):
                received += chunk
                if len(received) > max_bytes:
                    raise _TooLarge
                self._guard.left()
            return Reply(
                response.status_code, CaseInsensitiveDict(response.headers), bytes(received)
            )

    def _no_answer(self, host: str, deadline_seconds: float) -> str:
        if self._guard.is_over():
            return _(
                "%(host)s did not answer within %(seconds)g seconds.",
                host=host,
                seconds=round(deadline_seconds, 1),
            )
        return _("The connection to %(host)s broke before an answer came.", host=host)


def _host_of(url: str) -> str:
    """The host by the parser that will be used to send, so that no two parsers disagree."""
    try:
        host = urllib3.util.parse_url(url).host
    except urllib3.exceptions.LocationParseError:
        host = None
    if not host:
        raise AddressRefused(_("This is not a web address."))
    return host.strip("[]")


class _TooLarge(Exception):  # noqa: N818  only a signal inside this file
    """The reply is larger than the caller wants to hold."""


def _open_session(policy: NetworkPolicy, guard: Guard) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.verify = policy.ca_bundle or True
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    # Identity: a compressed reply could be far larger than what came over the wire.
    session.headers.update({"User-Agent": "commweb", "Accept-Encoding": "identity"})
    if policy.http_proxy:
        session.proxies = {"http": policy.http_proxy, "https": policy.http_proxy}
    adapter = GuardedAdapter(guard)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session
