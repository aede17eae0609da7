"""One door for every address a person typed: what may be dialled, and how.

A `Door` resolves a name once per connection, checks every address it has, and dials the literal
address it checked, so that no second lookup can lead elsewhere. The name still makes the Host
header, SNI and certificate check. Nothing is read from the environment (proxies, ``~/.netrc``),
redirects are answers, replies have a largest size, and one deadline bounds name lookup, connect,
headers and body together, however slowly they drip.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import requests
import urllib3
from requests.structures import CaseInsensitiveDict

from commweb.addresses import is_plain_http_to_elsewhere, normalise_url, url_problem
from commweb.errors import AddressRefused, ProviderError, Unreachable
from commweb.i18n import gettext as _
from commweb.pinned import CHUNK_BYTES, Guard, GuardedAdapter, Resolve

__all__ = [
    "Body",
    "Door",
    "Headers",
    "NetworkPolicy",
    "Reply",
    "is_plain_http_to_elsewhere",
    "normalise_url",
    "url_problem",
]

MAX_REPLY_BYTES = 32 * 1024 * 1024
# An address that every parser understands alike: scheme and authority, then a path that needs no
# more encoding.
_PLAIN = re.compile(r"(https?://[A-Za-z0-9.:\[\]-]+)(/[A-Za-z0-9%._~!$&'()*+,;=:@/?-]*)")
# Identity: a compressed reply could be far larger than what came over the wire.
_STANDARD_HEADERS = (("User-Agent", "commweb"), ("Accept-Encoding", "identity"), ("Accept", "*/*"))


@dataclass(frozen=True)
class NetworkPolicy:
    """What an operator allows. ``allowed_private_hosts``: host names or networks.

    With an ``http_proxy`` the proxy resolves names; only addresses written as such are checked.
    ``before_send`` is called before each request: tests refuse to send while the thread has a
    database connection checked out. ``call_seconds``: how long one request may take, unless its
    caller says otherwise; shorter than the lease of a room.
    """

    allowed_private_hosts: tuple[str, ...] = ()
    ca_bundle: str | None = None
    http_proxy: str | None = field(default=None, repr=False)  # may hold a password
    before_send: Callable[[], None] | None = None
    call_seconds: float = 30.0


class Headers(dict[str, str]):
    """Headers that do not show their values, which may be tokens: tools that report faults
    write down the variables of every function on the way."""

    def __repr__(self) -> str:
        return f"<Headers {', '.join(sorted(self))}>"


class Body(bytes):
    """A body that does not show itself: it may hold a password."""

    def __repr__(self) -> str:
        return f"<Body of {len(self)} bytes>"


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
        self._adapter = GuardedAdapter(self._guard)
        self._verify: bool | str = policy.ca_bundle or True
        proxy = policy.http_proxy
        self._proxies = {"http": proxy, "https": proxy} if proxy else {}
        self._servers: dict[str, tuple[str, str]] = {}

    @property
    def call_seconds(self) -> float:
        """How long one request may take."""
        return self._policy.call_seconds

    def __enter__(self) -> Door:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._adapter.close()

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
        no complete answer came. Neither names a header or a body; and whatever is raised, no
        variable of a function on its way holds one: tools that report faults write them down.
        """
        try:
            place, url = self._checked(url)
            if self._policy.before_send is not None:
                self._policy.before_send()
            self._guard.start(deadline_seconds, place)
            outcome = self._outcome(method, url, headers or {}, body, max_bytes)
        finally:
            headers = body = None
        if isinstance(outcome, Reply):
            return outcome
        # Here and not where it was caught: on its way it held the request with its headers.
        raise self._problem(outcome, place, deadline_seconds)

    def _outcome(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, max_bytes: int
    ) -> Reply | BaseException:
        """The answer, or what was raised instead, without the way it came."""
        try:
            return self._exchange(method, url, headers, body, max_bytes)
        except BaseException as error:  # noqa: BLE001  raised again by the caller
            error.__cause__ = error.__context__ = None
            return error.with_traceback(None)

    def _problem(self, error: BaseException, place: str, deadline_seconds: float) -> BaseException:
        """What to raise for it. Errors of the libraries may quote the request."""
        match error:
            case ProviderError():  # the guard's own
                return type(error)(error.sentence)
            case requests.exceptions.SSLError():
                sentence = _("The certificate of %(host)s could not be verified.", host=place)
            case requests.RequestException() | urllib3.exceptions.HTTPError() | OSError():
                return self._no_answer(place, deadline_seconds)
            case ValueError():  # a header that no request can carry
                sentence = _("The request to %(host)s cannot be written.", host=place)
            case _TooLarge():
                sentence = _("%(host)s sent a reply that is too large.", host=place)
            case Exception():  # no thread, no memory, a fault of a library
                fault = type(error).__name__
                sentence = _(
                    "The request to %(host)s failed here (%(fault)s).", host=place, fault=fault
                )
            case _:  # somebody ends the program
                return error
        return Unreachable(sentence)

    def _checked(self, url: str) -> tuple[str, str]:
        """The server as messages name it, and the address as it is sent. What was said about a
        server is remembered: parsing its address costs as much as sending."""
        plain = _PLAIN.fullmatch(url)
        if plain is None:
            host, place = _host_of(url)
            self._guard.check_name(host)
            return place, _written(url)
        server = plain[1]
        if server not in self._servers:
            host, place = _host_of(server + "/")
            self._guard.check_name(host)
            self._servers[server] = (place, _written(server + "/").removesuffix("/"))
        place, written = self._servers[server]
        return place, written + plain[2]

    def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, max_bytes: int
    ) -> Reply:
        request = _prepared(method, url, headers, body)
        with self._adapter.send(
            request,
            stream=True,
            timeout=self._guard.left(),
            verify=self._verify,
            proxies=self._proxies,
        ) as response:
            received = bytearray()
            # As it comes: a small compressed reply, which nobody asked for, may unpack to any size.
            for chunk in response.raw.stream(CHUNK_BYTES, decode_content=False):
                received += chunk
                if len(received) > max_bytes:
                    raise _TooLarge
                self._guard.left()
            return Reply(
                response.status_code, CaseInsensitiveDict(response.headers), Body(received)
            )

    def _no_answer(self, place: str, deadline_seconds: float) -> Unreachable:
        if self._guard.is_over():
            return Unreachable(
                _(
                    "%(host)s did not answer within %(seconds)g seconds.",
                    host=place,
                    seconds=round(deadline_seconds, 1),
                )
            )
        return Unreachable(_("The connection to %(host)s broke before an answer came.", host=place))


def _host_of(url: str) -> tuple[str, str]:
    """The host by the parser that will be used to send, so that no two parsers disagree; and the
    server as messages name it: scheme, host and port."""
    try:
        parsed = urllib3.util.parse_url(url)
    except urllib3.exceptions.LocationParseError:
        raise AddressRefused(_("This is not a web address.")) from None
    if not parsed.host:
        raise AddressRefused(_("This is not a web address."))
    port = f":{parsed.port}" if parsed.port else ""
    return parsed.host.strip("[]"), f"{parsed.scheme}://{parsed.host}{port}"


def _written(url: str) -> str:
    """The address with its host and path encoded. Raises `AddressRefused`."""
    request = requests.PreparedRequest()
    try:
        request.prepare_url(url, None)
    except (requests.RequestException, ValueError):
        raise AddressRefused(_("This is not a web address.")) from None
    return str(request.url)


class _TooLarge(Exception):  # noqa: N818  only a signal inside this file
    """The reply is larger than the caller wants to hold."""


def _prepared(
    method: str, url: str, headers: Mapping[str, str], body: bytes | None
) -> requests.PreparedRequest:
    """The request as it is sent. Put together by hand: a `requests.Session` would merge settings,
    cookies and credentials of its own into every request, at the price of the rest of it."""
    request = requests.PreparedRequest()
    request.method, request.url, request.body = method, url, body
    request.headers = CaseInsensitiveDict(_STANDARD_HEADERS)
    request.headers.update(headers)
    if body is not None or method not in ("GET", "HEAD"):
        request.headers["Content-Length"] = str(len(body or b""))
    return request
