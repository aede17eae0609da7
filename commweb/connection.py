"""The stored session with a provider's server, and the lease that lets one caller refresh it.

Source of the algorithm: a refresh token may be used until the new access token is used once
(Matrix client-server API, "Refreshing access tokens"), so exactly one caller refreshes, commits
the new pair, and only then uses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, and_, func, insert, or_, select, update

from commweb import audit
from commweb.clocks import SLACK
from commweb.database import Database
from commweb.encryption import Sealer, Secret
from commweb.errors import EncryptionError
from commweb.i18n import gettext as _
from commweb.i18n import joined
from commweb.models import Connection as Row
from commweb.models import now
from commweb.servers import Elsewhere, settle

__all__ = ["OK", "SIGN_IN_NEEDED", "Session", "StoredTokens", "TokenPair", "TokenStore"]

OK = "ok"
SIGN_IN_NEEDED = "sign_in_needed"
# What every new session starts with, and what a forgotten one keeps nothing of. The server's name
# stays: it says where the rooms are.
FRESH: Mapping[str, Any] = MappingProxyType(
    {
        "previous": None,
        "lease": None,
        "lease_until": None,
        "state": OK,
        "reason": None,
        "rotated_at": None,
        "blocked_until": None,
        "trouble_code": None,
        "trouble": None,
        "trouble_since": None,
        "answered_at": None,
    }
)
# How long a good answer is not written down again.
ANSWERED_FOR = timedelta(minutes=1)
FORGOTTEN: Mapping[str, Any] = MappingProxyType(
    {
        **dict.fromkeys(("access", "refresh", "expires_at", "lifetime_seconds", "device_id")),
        **dict.fromkeys(("user_id", "set_at", "set_by")),
        "base_url": "",
    }
)


@dataclass(frozen=True)
class TokenPair:
    """What a login or a refresh answers. ``expires_at`` is None for tokens without expiry."""

    access: Secret
    refresh: Secret | None
    expires_at: datetime | None = None
    lifetime_seconds: int | None = None


@dataclass(frozen=True)
class Session:
    """The stored session as it was when read. ``generation`` grows with every new pair.

    ``trouble``: why the provider is stopped, though its session lives (the acting account or the
    server); ``trouble_code`` names it for programs, ``trouble_since`` is when it began.
    ``answered_at``: the server's last good answer, to the minute. ``copied``: it is another
    installation's, from which the database was copied.
    """

    pair: TokenPair
    previous: Secret | None
    generation: int
    state: str
    reason: str | None
    base_url: str
    user_id: str | None
    server_name: str | None
    set_at: datetime | None
    device_id: str | None = None
    blocked_until: datetime | None = None
    trouble_code: str | None = None
    trouble: str | None = None
    trouble_since: datetime | None = None
    answered_at: datetime | None = None
    copied: bool = False


class TokenStore(Protocol):
    """One provider's row in ``commweb_connection``. Every call is one short transaction."""

    def read(self) -> Session | None:
        """The session, or None when nothing is stored."""

    def take_lease(self, holder: str, generation: int, seconds: float) -> bool:
        """Whether ``holder`` may refresh now: nobody else holds the lease of this generation."""

    def shorten_lease(self, holder: str, seconds: float) -> None:
        """Let somebody else try in ``seconds``."""

    def rotate(self, holder: str, generation: int, pair: TokenPair, used: Secret) -> bool:
        """Store a refreshed pair durably, keep the refresh token ``used`` as previous.
        False: the lease or generation is not ours any more; throw the pair away unused."""

    def mark_sign_in_needed(self, holder: str, generation: int, reason: str) -> bool:
        """The session is dead. False: somebody stored another one meanwhile."""

    def block_until(self, when: datetime) -> None:
        """The server asked everybody to wait until then."""

    def set_identity(self, generation: int, user_id: str, server_name: str) -> None:
        """Remember whose session it is (from whoami). A session of another server than the one
        the rooms are on is not used: ``sign_in_needed`` says so, until somebody confirms it."""

    def stop(self, code: str, sentence: str) -> None:
        """The server or the acting account stops every room; say so until `go_on`."""

    def go_on(self) -> None:
        """The server gave a good answer: what stopped the rooms is over."""


class StoredTokens:
    """`TokenStore` on ``commweb_connection``: sealed tokens, short transactions of our own.

    A session that was stored under another ``instance`` (the database was copied) is reported as
    ``sign_in_needed`` and never refreshed: that would end the original's session.
    """

    def __init__(self, database: Database, sealer: Sealer, provider: str, instance: str) -> None:
        self._database = database
        self._sealer = sealer
        self._provider = provider
        self._instance = instance

    def read(self) -> Session | None:
        with self._database.read() as connection:
            row = self._row(connection)
        return None if row is None or row.access is None else self._session(row)

    def server_name(self) -> str | None:
        """The server that is connected, or was when the tokens were cleared."""
        with self._database.read() as connection:
            row = self._row(connection)
        return None if row is None else row.server_name

    def take_lease(self, holder: str, generation: int, seconds: float) -> bool:
        with self._database.write() as connection:
            at = _clock(connection)
            until = at + timedelta(seconds=seconds)
            return self._update(
                connection,
                self._own(generation),
                Row.state == OK,
                or_(Row.lease.is_(None), Row.lease_until < at, Row.lease_until > until + SLACK),
                lease=holder,
                lease_until=until,
            )

    def shorten_lease(self, holder: str, seconds: float) -> None:
        with self._database.write() as connection:
            until = _clock(connection) + timedelta(seconds=seconds)
            self._update(connection, Row.lease == holder, lease_until=until)

    def rotate(self, holder: str, generation: int, pair: TokenPair, used: Secret) -> bool:
        with self._database.write(durable=True) as connection:
            row = self._row(connection)
            if row is None:
                return False
            return self._update(
                connection,
                self._own(generation),
                Row.lease == holder,
                access=self._seal(pair.access, row.base_url, "access"),
                # A reply without a refresh token leaves the one that was used valid.
                refresh=self._seal(pair.refresh or used, row.base_url, "refresh"),
                previous=self._seal(used, row.base_url, "previous"),
                expires_at=pair.expires_at,
                lifetime_seconds=pair.lifetime_seconds,
                generation=generation + 1,
                rotated_at=_clock(connection),
                lease=None,
                lease_until=None,
            )

    def mark_sign_in_needed(self, holder: str, generation: int, reason: str) -> bool:
        with self._database.write() as connection:
            marked = self._update(
                connection,
                self._own(generation),
                Row.lease == holder,
                state=SIGN_IN_NEEDED,
                reason=reason,
                lease=None,
                lease_until=None,
            )
            if marked:
                audit.record(
                    connection, actor="", action="session.sign_in_needed", subject=self._provider
                )
            return marked

    def block_until(self, when: datetime) -> None:
        with self._database.write() as connection:
            later = or_(Row.blocked_until.is_(None), Row.blocked_until < when)
            self._update(connection, later, blocked_until=when)

    def set_identity(self, generation: int, user_id: str, server_name: str) -> None:
        with self._database.write() as connection:
            row = self._row(connection, lock=True)
            if row is None or (row.generation, row.instance) != (generation, self._instance):
                return
            if (row.user_id, row.server_name) == (user_id, server_name):
                return
            other = settle(connection, self._provider, row.server_name, server_name, allowed=False)
            if other is None:
                self._update(connection, user_id=user_id, server_name=server_name)
                return
            self._update(connection, state=SIGN_IN_NEEDED, reason=_unconfirmed(other))
            audit.record(
                connection, actor="", action="session.another_server", subject=self._provider
            )

    def stop(self, code: str, sentence: str) -> None:
        with self._database.write() as connection:
            row = self._row(connection, lock=True)
            if (
                row is None
                or row.access is None
                or (row.trouble_code, row.trouble) == (code, sentence)
            ):
                return
            since = row.trouble_since if row.trouble_code else _clock(connection)
            self._update(connection, trouble_code=code, trouble=sentence, trouble_since=since)

    def go_on(self) -> None:
        with self._database.read() as connection:
            row = self._row(connection)
            at = _clock(connection)
        if row is None or row.access is None:
            return
        fresh = row.answered_at is not None and abs(at - row.answered_at) < ANSWERED_FOR
        if fresh and row.trouble_code is None:
            return
        with self._database.write() as connection:
            self._update(
                connection,
                Row.access.is_not(None),
                answered_at=_clock(connection),
                trouble_code=None,
                trouble=None,
                trouble_since=None,
            )

    def replace(
        self,
        connection: Connection,
        *,
        base_url: str,
        access: Secret | None,
        refresh: Secret | None,
        actor: str,
        expires_at: datetime | None = None,
        lifetime_seconds: int | None = None,
        user_id: str | None = None,
        device_id: str | None = None,
        allow_new_server: bool = False,
    ) -> Session | None:
        """An admin's own tokens, in the transaction of the settings they belong to.

        None keeps what is stored, if it is stored for the same ``base_url`` (and was not copied
        from another installation). Raises the generation, clears lease and previous, sets the
        state to ok. Nothing given and the same server: changes nothing. Answers the session that
        was replaced, as it was at that moment: a worker may have refreshed it since it was read;
        None: there was none, or nothing was changed.

        ``allow_new_server``: an account of another server than the one the rooms are on is meant;
        all rooms and accounts are asked for anew there. Otherwise raises `AnotherServer`.
        """
        row = self._row(connection, lock=True)
        same_server = row is not None and row.base_url == base_url
        if same_server and access is None and refresh is None:
            return None
        values: dict[str, Any] = {
            "base_url": base_url,
            "instance": self._instance,
            "set_at": _clock(connection),
            "set_by": actor,
            **FRESH,
        }
        keep = row is not None and same_server and row.instance == self._instance
        if refresh is not None or not keep:
            values["refresh"] = self._seal(refresh, base_url, "refresh")
        if access is not None or not keep:
            values |= {
                "access": self._seal(access, base_url, "access"),
                "expires_at": expires_at,
                "lifetime_seconds": lifetime_seconds,
                "user_id": user_id,
                "device_id": device_id,
            }
            name = user_id.partition(":")[2] if user_id else ""
            if name:
                old = row.server_name if row is not None else None
                found = settle(connection, self._provider, old, name, allowed=allow_new_server)
                if found is not None:
                    raise found.error()
                values["server_name"] = name
        self._put(connection, row, values)
        return self._replaced(row)

    def clear(self, connection: Connection) -> Session | None:
        """Forget the tokens ("Clear tokens"); the generation still grows. Answers the session
        that was forgotten."""
        row = self._row(connection, lock=True)
        if row is not None:
            self._put(connection, row, {**FORGOTTEN, **FRESH})
        return self._replaced(row)

    def _replaced(self, row: Any) -> Session | None:
        return None if row is None or row.access is None else self._session(row)

    def _row(self, connection: Connection, *, lock: bool = False) -> Any:
        query = select(*Row.__table__.columns).where(Row.provider == self._provider)
        return connection.execute(query.with_for_update() if lock else query).one_or_none()

    def _own(self, generation: int) -> ColumnElement[bool]:
        return and_(Row.generation == generation, Row.instance == self._instance)

    def _update(self, connection: Connection, *where: ColumnElement[bool], **values: Any) -> bool:
        statement = update(Row).where(Row.provider == self._provider, *where).values(**values)
        return connection.execute(statement).rowcount == 1

    def _put(self, connection: Connection, row: Any, values: dict[str, Any]) -> None:
        if row is None:
            values = {"provider": self._provider, "generation": 1, **values}
            connection.execute(insert(Row).values(**values))
        else:
            self._update(connection, **values, generation=Row.generation + 1)

    def _seal(self, secret: Secret | None, base_url: str, field: str) -> str | None:
        if secret is None:
            return None
        return self._sealer.seal(secret, (self._provider, base_url, field))

    def _session(self, row: Any) -> Session:
        def opened(field: str) -> Secret | None:
            sealed = getattr(row, field)
            context = (self._provider, row.base_url, field)
            return None if sealed is None else self._sealer.open(sealed, context)

        state, reason = row.state, row.reason
        if row.instance != self._instance:
            state = SIGN_IN_NEEDED
            reason = _(
                "The stored session belongs to another installation of this site, from which the "
                "database was copied. Sign in again to get a session of its own."
            )
        try:
            access, refresh, previous = opened("access"), opened("refresh"), opened("previous")
        except EncryptionError as error:
            access, refresh, previous = None, None, None
            state, reason = SIGN_IN_NEEDED, error.sentence
        return Session(
            pair=TokenPair(access or Secret(""), refresh, row.expires_at, row.lifetime_seconds),
            previous=previous,
            generation=row.generation,
            state=state,
            reason=reason,
            base_url=row.base_url,
            user_id=row.user_id,
            server_name=row.server_name,
            set_at=row.set_at,
            device_id=row.device_id,
            blocked_until=row.blocked_until,
            trouble_code=row.trouble_code,
            trouble=row.trouble,
            trouble_since=row.trouble_since,
            answered_at=row.answered_at,
            copied=row.instance != self._instance,
        )


def _unconfirmed(found: Elsewhere) -> str:
    return joined(
        [
            _("The stored tokens are for %(new)s.", new=found.new),
            found.sentence(),
            _("Enter the tokens again, and confirm the change."),
        ]
    )


def _clock(connection: Connection) -> datetime:
    """Now, by the database's clock where several machines may share it."""
    if connection.dialect.name == "sqlite":
        return now()
    at: datetime = connection.execute(select(func.current_timestamp())).scalar_one()
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
