"""Every request commweb sends to a homeserver, and which refusals each of them may get. Pure data.

A refusal counts only where it is listed here, for this very request: then it is the homeserver's
own word about the thing asked for. Everything else is an answer about the way there (a proxy, a
router, another program), from which nothing may be concluded.

Sources: Matrix client-server API (https://spec.matrix.org/latest/client-server-api/), Synapse's
admin API (https://element-hq.github.io/synapse/latest/admin_api/), and what Synapse 1.163 answers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import quote

from commweb.net import MAX_REPLY_BYTES

__all__ = ["ADMIN", "Call", "call_of", "every_call"]

ADMIN = "/_synapse/admin"
CLIENT = "/_matrix/client/v3"
LARGEST_STATE_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True)
class Call:
    """One kind of request.

    ``absent``: the status and code that say "this very thing is not there". ``no``: the codes
    with which the homeserver refuses this one thing (HTTP 400, 403, 409 and 413). ``unsettled``:
    status, code and a part of the sentence that say "the room is not as you believe": it has to
    be observed. ``adds_people``: a limit on the number of users stops it and nothing else.
    ``any_size_refusal``: a proxy's HTTP 413 is about this body too. ``largest_reply``: in bytes.
    """

    method: str
    path: str
    absent: frozenset[tuple[int, str]] = frozenset()
    no: frozenset[str] = frozenset()
    unsettled: tuple[tuple[int, str, str], ...] = ()
    adds_people: bool = False
    any_size_refusal: bool = False
    largest_reply: int = MAX_REPLY_BYTES

    def path_with(self, *names: str) -> str:
        """The path with each ``{}`` filled, percent-encoded whole: a localpart may hold a slash,
        and a room id has no server in room version 12."""
        return self.path.format(*(quote(name, safe="") for name in names))


NOT_FOUND = frozenset({(404, "M_NOT_FOUND")})
WRONG_BODY = frozenset({"M_UNKNOWN", "M_BAD_JSON", "M_INVALID_PARAM", "M_MISSING_PARAM"})
WRITING = WRONG_BODY | {"M_FORBIDDEN", "M_TOO_LARGE"}
"""For state and messages: not enough power, not in the room, not in the shape it has to have."""
JOINING = WRITING | {
    "M_BAD_STATE",
    "M_INVITE_BLOCKED",
    "M_INCOMPATIBLE_ROOM_VERSION",
    "M_UNABLE_TO_AUTHORISE_JOIN",
    "M_UNABLE_TO_GRANT_JOIN",
}
PASSWORD = frozenset(
    {
        "M_PASSWORD_TOO_SHORT",
        "M_PASSWORD_NO_DIGIT",
        "M_PASSWORD_NO_UPPERCASE",
        "M_PASSWORD_NO_LOWERCASE",
        "M_PASSWORD_NO_SYMBOL",
        "M_PASSWORD_IN_DICTIONARY",
        "M_WEAK_PASSWORD",
    }
)
NO_ROOM = ((404, "M_UNKNOWN", "not a known room"), (403, "M_FORBIDDEN", "unknown room"))
NO_SERVERS = ((404, "M_UNKNOWN", "can't join remote room"),)

# What the server is, and whose session it is

VERSIONS = Call("GET", "/_matrix/client/versions")
AUTH_METADATA = Call(
    "GET",
    "/_matrix/client/v1/auth_metadata",
    absent=NOT_FOUND | {(404, "M_UNRECOGNIZED"), (400, "M_UNRECOGNIZED")},
)
LOGIN = Call(
    "POST",
    CLIENT + "/login",
    absent=frozenset({(404, "M_UNRECOGNIZED"), (400, "M_UNRECOGNIZED"), (405, "M_UNRECOGNIZED")}),
    no=WRONG_BODY | {"M_FORBIDDEN", "M_INVALID_USERNAME"},
)
REFRESH = Call("POST", CLIENT + "/refresh", no=frozenset({"M_FORBIDDEN", "M_UNKNOWN_TOKEN"}))
WHOAMI = Call("GET", CLIENT + "/account/whoami")
LOGOUT = Call("POST", CLIENT + "/logout")
CAPABILITIES = Call("GET", CLIENT + "/capabilities")

# Accounts

USER = Call("GET", ADMIN + "/v2/users/{}", absent=NOT_FOUND, no=frozenset({"M_UNKNOWN"}))
PUT_USER = Call(
    "PUT",
    ADMIN + "/v2/users/{}",
    no=WRONG_BODY
    | PASSWORD
    | {"M_FORBIDDEN", "M_INVALID_USERNAME", "M_USER_IN_USE", "M_EXCLUSIVE", "M_THREEPID_IN_USE"},
    adds_people=True,
)
USER_OF_EXTERNAL_ID = Call("GET", ADMIN + "/v1/auth_providers/{}/users/{}", absent=NOT_FOUND)
DEVICES = Call("GET", ADMIN + "/v2/users/{}/devices", absent=NOT_FOUND)
LIMITS = Call("GET", ADMIN + "/v1/users/{}/override_ratelimit")
SET_LIMITS = Call("POST", ADMIN + "/v1/users/{}/override_ratelimit", no=WRONG_BODY)

# Rooms

CREATE_ROOM = Call(
    "POST",
    CLIENT + "/createRoom",
    no=WRITING | {"M_ROOM_IN_USE", "M_UNSUPPORTED_ROOM_VERSION", "M_INVALID_ROOM_STATE"},
    adds_people=True,
)
ALIAS = Call("GET", CLIENT + "/directory/room/{}", absent=NOT_FOUND, no=frozenset({"M_FORBIDDEN"}))
DELETE_ALIAS = Call("DELETE", CLIENT + "/directory/room/{}", absent=NOT_FOUND, no=WRITING)
ROOMS = Call("GET", ADMIN + "/v1/rooms")
ROOM_STATE = Call(
    "GET",
    ADMIN + "/v1/rooms/{}/state",
    absent=NOT_FOUND,
    largest_reply=LARGEST_STATE_BYTES,
)
ROOM_MEMBERS = Call("GET", ADMIN + "/v1/rooms/{}/members", absent=NOT_FOUND)
ROOM_DETAILS = Call("GET", ADMIN + "/v1/rooms/{}", absent=NOT_FOUND)
STATE = Call("GET", CLIENT + "/rooms/{}/state/{}/{}", absent=NOT_FOUND, no=WRITING)
PUT_STATE = Call(
    "PUT", CLIENT + "/rooms/{}/state/{}/{}", no=WRITING | {"M_BAD_STATE"}, unsettled=NO_ROOM
)
SEND = Call("PUT", CLIENT + "/rooms/{}/send/m.room.message/{}", no=WRITING, unsettled=NO_ROOM)
ADMIN_JOIN = Call(
    "POST",
    ADMIN + "/v1/join/{}",
    absent=NOT_FOUND,
    no=JOINING,
    unsettled=NO_ROOM + NO_SERVERS,
    adds_people=True,
)
INVITE = Call(
    "POST",
    CLIENT + "/rooms/{}/invite",
    no=JOINING,
    unsettled=NO_ROOM,
    adds_people=True,
)
KICK = Call("POST", CLIENT + "/rooms/{}/kick", no=WRITING | {"M_BAD_STATE"}, unsettled=NO_ROOM)
LEAVE = Call("POST", CLIENT + "/rooms/{}/leave", no=WRITING | {"M_BAD_STATE"}, unsettled=NO_ROOM)
JOIN = Call(
    "POST",
    CLIENT + "/rooms/{}/join",
    no=JOINING,
    unsettled=NO_ROOM + NO_SERVERS,
    adds_people=True,
)
MAKE_ROOM_ADMIN = Call("POST", ADMIN + "/v1/rooms/{}/make_room_admin", no=WRITING)
DELETE_ROOM = Call("DELETE", ADMIN + "/v2/rooms/{}", absent=NOT_FOUND, no=WRITING)
DELETION = Call("GET", ADMIN + "/v2/rooms/delete_status/{}", absent=NOT_FOUND)
DELETIONS = Call("GET", ADMIN + "/v2/rooms/{}/delete_status", absent=NOT_FOUND)

# Pictures

LARGEST_UPLOAD = Call("GET", "/_matrix/client/v1/media/config")
UPLOAD = Call(
    "POST",
    "/_matrix/media/v3/upload",
    no=WRITING | {"M_USER_LIMIT_EXCEEDED", "ORG.MATRIX.MSC4335_USER_LIMIT_EXCEEDED"},
    any_size_refusal=True,
)


def every_call() -> tuple[Call, ...]:
    """All of them."""
    return tuple(value for value in globals().values() if isinstance(value, Call))


def call_of(method: str, path: str) -> Call:
    """The call that a request is; for one nobody described, one without any listed refusal."""
    parts = path.split("/")
    for call, pattern in _BY_SHAPE.get((method, len(parts)), ()):
        if all(want in ("{}", part) for want, part in zip(pattern, parts, strict=True)):
            return call
    return Call(method, path)


Shapes = Mapping[tuple[str, int], tuple[tuple[Call, list[str]], ...]]


def _by_shape(calls: Iterable[Call]) -> Shapes:
    """By method and number of segments; the ones with more fixed words first."""
    found: dict[tuple[str, int], list[tuple[Call, list[str]]]] = defaultdict(list)
    for call in sorted(calls, key=lambda one: one.path.count("{}")):
        pattern = call.path.split("/")
        found[call.method, len(pattern)].append((call, pattern))
    return MappingProxyType({shape: tuple(group) for shape, group in found.items()})


_BY_SHAPE = _by_shape(every_call())
