"""The answers that concern the acting account or the whole server, in words for people. Pure.

They carry what the server says itself: its sentence, a link, a contact. All of it comes from
outside, so it is plain text, of a bounded length, and links are web addresses only.

Sources: Matrix client-server API, "Common error codes" and "Server notices"
(``M_RESOURCE_LIMIT_EXCEEDED``, ``admin_contact``, ``limit_type``), and Synapse's
``M_CONSENT_NOT_GIVEN`` (``consent_uri``).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from commweb.encryption import Secret
from commweb.errors import ProviderStopped, UserLimitReached
from commweb.i18n import gettext as _
from commweb.i18n import joined, lazy_gettext

__all__ = ["RESOURCE_LIMIT", "STOPS", "mail_or_link", "plain_text", "stopped", "web_link"]

RESOURCE_LIMIT = "M_RESOURCE_LIMIT_EXCEEDED"
LONGEST_TEXT = 300
LONGEST_LINK = 500
# What access and refresh tokens of Synapse and of the authentication service look like.
_TOKEN = re.compile(r"\b(?:syt|syr|mat|mar|mct|mcr|mpt)_[A-Za-z0-9_-]{6,}")

NOT_ADMIN = lazy_gettext(
    "The site's account is not a server administrator. Creating accounts and adding people "
    "needs one: sign in with an administrator."
)
NO_SPACE = lazy_gettext("The homeserver has no space left. Rooms wait until it has.")
LIMITED = lazy_gettext(
    "The homeserver is stopped or has reached a limit. Rooms wait until that is over."
)
USERS = lazy_gettext(
    "The homeserver has reached its limit of users. New people wait until it has room for them."
)
STOPS = MappingProxyType(
    {
        "M_USER_SUSPENDED": lazy_gettext(
            "The homeserver has suspended the site's account. Rooms wait until that is lifted."
        ),
        "M_USER_LOCKED": lazy_gettext(
            "The homeserver has locked the site's account. Rooms wait until that is lifted."
        ),
        "M_USER_DEACTIVATED": lazy_gettext(
            "The site's account is deactivated on the homeserver. Sign in with another one."
        ),
        "ORG_MATRIX_EXPIRED_ACCOUNT": lazy_gettext(
            "The site's account has expired on the homeserver. Rooms wait until it is renewed."
        ),
        "M_CONSENT_NOT_GIVEN": lazy_gettext(
            "The site's account has to agree to the homeserver's terms. Rooms wait until then."
        ),
    }
)
"""By the code that the server gives (HTTP 401 or 403)."""

Kind = TypeVar("Kind", bound=ProviderStopped | UserLimitReached)


def stopped(
    kind: type[Kind],
    status: int,
    errcode: str,
    answer: Mapping[str, Any],
    secrets: Iterable[Secret] = (),
) -> Kind:
    """The error, with the server's own sentence, link and contact. ``secrets`` were sent: what
    repeats one of them is left out."""
    text = _TOKEN.sub("…", plain_text(_without(answer.get("error"), secrets)))
    link = web_link(_without(answer.get("consent_uri"), secrets))
    contact = mail_or_link(_without(answer.get("admin_contact"), secrets))
    parts = [_lead(kind, status, errcode)]
    if text:
        parts.append(_("The homeserver says: “%(sentence)s”", sentence=text))
    if link and link not in text:
        parts.append(_("Open %(link)s", link=link))
    if contact and contact not in text:
        parts.append(_("Contact: %(contact)s", contact=contact))
    return kind(joined(parts), status=status, errcode=errcode or None)


def _without(value: object, secrets: Iterable[Secret]) -> object:
    """The value, unless it repeats a secret."""
    if not isinstance(value, str):
        return None
    repeats = any(
        one.reveal() and (one.reveal() in value or quote(one.reveal(), safe="") in value)
        for one in secrets
    )
    return None if repeats else value


def _lead(kind: type[Kind], status: int, errcode: str) -> str:
    if issubclass(kind, UserLimitReached):
        return str(USERS)
    if errcode in STOPS:
        return str(STOPS[errcode])
    if errcode == "M_FORBIDDEN":
        return str(NOT_ADMIN)
    return str(NO_SPACE) if status == 507 else str(LIMITED)


def plain_text(value: object) -> str:
    """A server's sentence as plain text: one line, no control or direction characters, at most
    300 characters; empty for anything else."""
    if not isinstance(value, str):
        return ""
    kept = "".join(
        " " if one.isspace() else one
        for one in value[: 4 * LONGEST_TEXT]
        if one.isspace() or unicodedata.category(one)[0] != "C"
    )
    text = " ".join(kept.split())
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1].rstrip() + "…"


def web_link(value: object) -> str:
    """A web address from a server, as it may be shown; empty when it is none."""
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_LINK:
        return ""
    if any(not "!" <= one <= "~" or one in "\"'<>\\`" for one in value):
        return ""
    try:
        parts = urlsplit(value)
    except ValueError:
        return ""
    good = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
    return value if good else ""


def mail_or_link(value: object) -> str:
    """A contact that a server names: a web address, or a mail address without ``mailto:``."""
    link = web_link(value)
    if link or not isinstance(value, str) or len(value) > LONGEST_LINK:
        return link
    address = value.removeprefix("mailto:").partition("?")[0]
    name, at, host = address.partition("@")
    plain = all("!" <= one <= "~" and one not in "\"'<>\\`:/()" for one in address)
    return address if name and at and "." in host and "@" not in host and plain else ""
