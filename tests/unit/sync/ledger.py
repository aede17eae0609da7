"""One room and what is recorded of it, in memory: the engine's run without a database.

`Ledger` is the real `Progress` whose flushes go into a `Book`; a killed run simply loses what
was not flushed. `FlakyBackend` fails at a chosen call, before or after the server did the work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from commweb.errors import Unreachable
from commweb.providers.base import Backend
from commweb.providers.rooms import Action, CreateRoom, ObservedRoom, RoomRef
from commweb.sync.apply import Hands
from commweb.sync.closing import Deletions
from commweb.sync.details import details
from commweb.sync.known import Applied, AppliedMember, Intended, Policy, Target
from commweb.sync.leases import Lease
from commweb.sync.plan import Birth, plan
from commweb.sync.progress import Progress
from commweb.sync.standing import standings

MEMBER = tuple(AppliedMember.__dataclass_fields__)
DETAILS = ("name", "topic", "picture_digest", "picture_uri", "read_only", "open_level")

READS = frozenset(
    {
        "answers",
        "home_of",
        "own_id",
        "server_name",
        "before_request",
        "observe",
        "identify",
        "find",
        "whereabouts",
        "highest_level",
        "close",
    }
)


class Killed(BaseException):
    """The worker is gone; nothing of it runs any more."""


@dataclass
class Book:
    """The rows of one room: its columns, its members, whose accounts were looked at, and every
    account that was ever put in."""

    room: dict[str, Any] = field(default_factory=dict)
    members: dict[str, AppliedMember] = field(default_factory=dict)
    checked: dict[str, str] = field(default_factory=dict)
    past: dict[str, str] = field(default_factory=dict)

    @property
    def remote_id(self) -> str | None:
        found: str | None = self.room.get("remote_id")
        return found

    @property
    def ref(self) -> RoomRef:
        return RoomRef("1", "", self.room.get("creation_key") or "key", self.remote_id)

    def applied(self) -> Applied:
        values = {key: self.room.get(key) for key in DETAILS}
        intended = Intended(**self.room.get("intended", {}))
        born = self.remote_id is None and self.room.get("creation_started_at") is not None
        unsure = born or bool(self.room.get("unsure"))
        return Applied(
            members=dict(self.members),
            intended=intended,
            unsure=unsure,
            past=dict(self.past),
            **values,
        )


class Ledger(Progress):
    """`Progress` that writes into a book. ``eager``: after every action."""

    def __init__(self, book: Book, *, eager: bool) -> None:
        lease = Lease(None, 1, "me")  # type: ignore[arg-type]
        super().__init__(None, lease, "simulated", book.applied())  # type: ignore[arg-type]
        self._book = book
        self._eager = eager

    def flush_if_due(self) -> None:
        if self._eager:
            self.flush()

    def flush(self, **room: Any) -> None:
        self.room(**room)
        self._book.room.update(self._room)
        for key in self._dirty:
            row = self._rows[key]
            self._book.members[key] = AppliedMember(**{name: row[name] for name in MEMBER})
        for key, account in self._accounts.items():
            self._book.checked[key] = account["display_name"]
        self._book.past.update(self._past)
        self._past.clear()
        self._dirty.clear()
        self._accounts.clear()
        self._room.clear()


@dataclass
class Fault:
    """At the ``at``-th change of the room: ``before`` or ``after`` the server did it; ``kill``
    takes the worker with it."""

    at: int
    after: bool
    kill: bool


class FlakyBackend:
    """Does what the backend does, but for one fault."""

    def __init__(self, backend: Backend, fault: Fault | None) -> None:
        self._backend = backend
        self._fault = fault
        self._count = 0

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_"):
            return super().__getattribute__(name)
        method = getattr(self._backend, name)
        if name in READS:
            return method
        return lambda *given: self._call(method, *given)

    def _call(self, method: Any, *given: Any) -> Any:
        fault, count = self._fault, self._count
        self._count += 1
        if fault is None or fault.at != count:
            return method(*given)
        if fault.after:
            method(*given)
        raise Killed if fault.kill else Unreachable("No answer.")


@dataclass(frozen=True)
class Seen:
    """What one look gave."""

    actions: tuple[Action, ...]
    observed: ObservedRoom | None
    kept: tuple[str, ...] = ()


def look(book: Book, target: Target | None, backend: Backend, policy: Policy) -> Seen:
    """Observe and plan, as a dry run does."""
    return _look(book, target, backend, policy)[0]


def _look(
    book: Book, target: Target | None, backend: Backend, policy: Policy
) -> tuple[Seen, Mapping[str, Any], Any]:
    applied = book.applied()
    observed = backend.observe(book.ref) if book.remote_id else None
    started = book.room.get("creation_started_at") if book.remote_id is None else None
    if book.remote_id and book.room.get("name") is None:
        policy = replace(policy, respect_hand_changes=False)
    people = standings(target, applied, observed, policy)
    found = details(target, applied, observed, policy) if target else None
    gone = bool(book.remote_id) and observed is None
    key = f"{book.room.get('creation_key', 'key')}{'+' if gone else ''}"
    birth = Birth(key, started, (("course", "1"),))
    actions = plan(target, applied, observed, birth=birth, policy=policy)
    columns: dict[str, Any] = {}
    if any(isinstance(action, CreateRoom) for action in actions):
        columns = {"remote_id": None, "creation_key": key, "creation_started_at": started or 1.0}
    kept = found.kept if found else ()
    return Seen(actions, observed, kept), columns, (people, found)


def run(
    book: Book,
    target: Target | None,
    backend: Backend,
    policy: Policy,
    *,
    fault: Fault | None = None,
    eager: bool = False,
) -> Seen:
    """One run of the engine. A fault leaves the book as it would leave the database."""
    seen, columns, (people, found) = _look(book, target, backend, policy)
    ledger = Ledger(book, eager=eager)
    if target is not None:
        ledger.seated(target.seats)
    if book.remote_id and book.room.get("name") is None:
        ledger.keep_name_back()
    ledger.intend(people)
    if found is not None:
        ledger.details(found.record)
    ledger.flush(**columns)
    ref = replace(book.ref, remote_id=seen.observed.remote_id if seen.observed else None)
    hands = Hands(cast(Backend, FlakyBackend(backend, fault)), ref, ledger, Deletions(None))
    try:
        for action in seen.actions:
            hands.do(action)
    except Killed:
        return seen
    except Unreachable:
        ledger.flush(unsure=2)
        return seen
    ledger.finish()
    book.room["unsure"] = 2 if hands.late else 0
    book.room["undone"] = ledger.undone_keys
    return seen
