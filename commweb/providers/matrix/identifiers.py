"""From the site's user names to Matrix user ids, and room names to aliases. Pure.

Sources: Matrix specification, "User Identifiers" and "Mapping from other character sets"
(https://spec.matrix.org/latest/appendices/#user-identifiers); Synapse also refuses localparts
that begin with an underscore or are all digits when an account is made.
"""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata

from commweb.i18n import gettext as _
from commweb.providers.names import Names

__all__ = [
    "MatrixNames",
    "is_on",
    "localpart",
    "room_alias",
    "room_alias_name",
    "server_name_of",
    "user_id",
    "user_id_problem",
]

MAX_BYTES = 255
PREFIX = "u-"
_ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-/+")
_NOT_IN_ALIAS = re.compile(r"[^a-z0-9_.-]+")
# The historical grammar: accounts made before the current one have other characters too.
_USER_ID = re.compile(
    r"@[\x21-\x39\x3b-\x7e]+:([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?", re.ASCII
)


def server_name_of(user_id: str) -> str:
    """``server`` of ``@localpart:server``; empty for anything else."""
    return user_id.partition(":")[2] if user_id.startswith("@") else ""


def is_on(user_id: str, server_name: str) -> bool:
    """Whether the account belongs to the server."""
    return server_name_of(user_id) == server_name


def user_id_problem(text: str) -> str | None:
    """Why this cannot be a Matrix user id, as a sentence; None: it can."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        return _("A Matrix user ID has at most %(count)d characters.", count=MAX_BYTES)
    if not _USER_ID.fullmatch(text):
        return _("A Matrix user ID looks like @name:example.org.")
    return None


def user_id(username: str, server_name: str, taken: frozenset[str]) -> str:
    """The Matrix user id for a user name, not one of ``taken``; the same for the same input.

    A name whose plain id is taken gets a suffix made from the name itself, and then a prefix too:
    a bridge owns all names that begin, or end, in its own way.
    """
    room = MAX_BYTES - len(server_name.encode()) - 2
    plain = localpart(username, room)
    digests = [_digest(username, number) for number in range(64)]
    added = [("", ""), ("", digests[0]), *((PREFIX, digest) for digest in digests)]
    for prefix, suffix in added:
        name = f"{prefix}{plain[: room - len(prefix) - len(suffix)]}{suffix}"
        candidate = f"@{name}:{server_name}"
        if candidate not in taken:
            return candidate
    raise ValueError("No free Matrix user id was found.")


class MatrixNames(Names):
    """The Matrix user ids of one homeserver; without its name: what can be said of any."""

    def __init__(self, own_id: str, server_name: str) -> None:
        self.own_id, self.server_name = own_id, server_name

    def identify(self, username: str, taken: frozenset[str]) -> str:
        return user_id(username, self.server_name, taken)

    def whereabouts(self, remote_user_id: str) -> str:
        if user_id_problem(remote_user_id) is not None:
            return "nowhere"
        return "here" if is_on(remote_user_id, self.server_name) else "elsewhere"


def localpart(username: str, room: int = MAX_BYTES) -> str:
    """At most ``room`` characters that every homeserver takes: lower case, accents dropped,
    other characters as ``=xx`` of their UTF-8 bytes."""
    text = unicodedata.normalize("NFKD", username.strip().lower()).lower()
    plain = "".join(
        letter if letter in _ALLOWED else "".join(f"={byte:02x}" for byte in _bytes_of(letter))
        for letter in text
        if not unicodedata.combining(letter)
    )
    if plain.startswith("_"):
        plain = f"=5f{plain[1:]}"
    if not plain or plain.isdigit():
        plain = f"u{plain}"
    if len(plain) > room:
        suffix = _digest(username, 0)
        plain = plain[: room - len(suffix)] + suffix
    return plain


def _bytes_of(letter: str) -> bytes:
    return letter.encode("utf-8", "surrogatepass")


def _digest(username: str, number: int) -> str:
    data = f"{number}:{username}".encode("utf-8", "surrogatepass")
    return "-" + hashlib.sha256(data).hexdigest()[:6]


def room_alias_name(slug: str, creation_key: str) -> str:
    """``{slug}-{first 8 base32 characters of the key}``: the localpart of a room's alias.

    ``creation_key`` is hexadecimal (128 bits); another text counts by its bytes.
    """
    try:
        key = bytes.fromhex(creation_key)
    except ValueError:
        key = creation_key.encode()
    short = base64.b32encode(key).decode().lower().rstrip("=")[:8]
    name = _NOT_IN_ALIAS.sub("-", slug.lower()).strip("-.")[:64].strip("-.") or "room"
    return f"{name}-{short}"


def room_alias(slug: str, creation_key: str, server_name: str) -> str:
    """The whole alias, ``#name:server``."""
    return f"#{room_alias_name(slug, creation_key)}:{server_name}"
