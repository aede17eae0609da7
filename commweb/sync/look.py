"""One room, read and planned: what the course wants, what the server has, what to do about it.

The dry run, the pages and the real run use this one plan.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import select

from commweb.account_locks import SETTING
from commweb.host import Role
from commweb.i18n import gettext as _
from commweb.models import RoomRow, now
from commweb.providers.base import Backend
from commweb.providers.rooms import Action, ObservedRoom, Remove, RoomRef
from commweb.state import State
from commweb.sync.desired import DesiredRoom
from commweb.sync.details import Details, details
from commweb.sync.gone import decide_gone
from commweb.sync.guard import ANYTHING, UPGRADED, GuardFacts, Hold, guard
from commweb.sync.holding import allowed, facts_of
from commweb.sync.identity import capped, level_map, rules_of
from commweb.sync.known import Applied, Policy, Target
from commweb.sync.leases import Lease
from commweb.sync.plan import Birth, follows, plan
from commweb.sync.questions import Questions
from commweb.sync.reading import Read, is_gone, read_course
from commweb.sync.records import RoomRecord, applied, left_since, read_room
from commweb.sync.seats import Seating
from commweb.sync.standing import OWN_CHOICE, Standing, gone_by_hand, is_inside, standings

__all__ = ["Look", "look"]

UPGRADES = 5
"""How many upgrades of a room are followed at one sync."""
DEPARTURES_ASKED = 50
"""About so many people who went by themselves it is asked whether their account was closed."""
A_DAY = timedelta(hours=24)


@dataclass(frozen=True)
class Look:
    """A room as it should be, as it was applied last and as it is, and what to do about it.

    ``hold``: what of the plan waits for a person; ``actions`` are without it. ``blocked``: why
    nothing can be done to the room now. ``chain``: the rooms that it replaced, by upgrades.
    ``locking``: the accounts of suspended people are locked.
    ``undone``: what could not be asked, by the keys of ``commweb_room.undone``, and why.
    """

    record: RoomRecord
    target: Target | None
    applied: Applied
    observed: ObservedRoom | None
    people: tuple[Standing, ...]
    actions: tuple[Action, ...]
    hold: Hold | None
    details: Details | None
    blocked: str | None = None
    chain: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    locking: bool = False
    undone: tuple[tuple[str, str], ...] = ()


def look(state: State, room_id: int, backend: Backend, lease: Lease | None = None) -> Look | None:
    """Read and observe the room and plan; stores only new accounts' names. None: no room.

    ``lease`` is kept alive meanwhile; without one (a dry run) nothing is done to a room either.
    Raises `ProviderError`, `HostError` and `LeaseLost`.
    """
    with state.database.read() as connection:
        record = read_room(connection, room_id)
        if record is None:
            return None
        last = applied(connection, record)
    values = _values(state, record.provider)
    return _Looking(state, backend, lease, record, last, values, Questions(backend)).look()


@dataclass
class _Looking:
    """What one look goes by."""

    state: State
    backend: Backend
    lease: Lease | None
    record: RoomRecord
    last: Applied
    values: Mapping[str, Any]
    questions: Questions

    def look(self) -> Look:
        read = self._read()
        if read.course is None and self._asks_about_the_course():
            hold = guard(GuardFacts(course_gone="unreported", **self._all_inside()))
            if hold is not None:
                return self._held(hold)
        desired = self._desired(read)
        self.record = record = _with_key(self.record)
        ref = RoomRef(
            record.course_id, record.made_for_group, record.creation_key or "", record.remote_id
        )
        observed, chain = self._observed(ref) if record.remote_id else (None, ())
        if record.remote_id and observed is None:
            hold = self._gone()
            if hold is not None:
                return self._held(hold)
            self.record = record = replace(
                record, remote_id=None, creation_key=_new_key(), creation_started_at=None
            )
        if observed is not None and observed.own_membership == "ban":
            return self._blocked(observed, chain)
        target = self._target(desired, observed) if desired else None
        return self._planned(read, target, observed, chain)

    def _read(self) -> Read:
        beat = self.lease.beat if self.lease is not None else None
        return read_course(self.state, self.record.course_id, beat)

    def _asks_about_the_course(self) -> bool:
        """Whether a course that the host does not have is a question: nobody reported it."""
        reported = self.record.course_gone == "reported" or ANYTHING in self.record.confirmed
        return not reported and (self.record.remote_id is not None or bool(self.last.members))

    def _all_inside(self) -> dict[str, Any]:
        inside = frozenset(
            key
            for key, record in self.last.members.items()
            if record.state in ("adding", "in", "invited")
        )
        names = {key: record.display_name for key, record in self.last.members.items()}
        return {
            "inside": inside,
            "leaving": inside,
            "closing": True,
            "confirmed": self.record.confirmed,
            "names": names,
        }

    def _desired(self, read: Read) -> DesiredRoom | None:
        record = self.record
        for room in read.rooms(level_map(self.values)):
            if (room.group_id, room.provider) == (record.group_id, record.provider):
                if record.creation_started_at and record.creation_slug:
                    # The room may exist under the alias of the first try, whatever the course is
                    # called now.
                    return replace(room, slug=record.creation_slug)
                return room
        return None

    def _held(self, hold: Hold) -> Look:
        """Nothing is planned: what to do is the question."""
        return Look(self.record, None, self.last, None, (), (), hold, None)

    def _blocked(self, observed: ObservedRoom, chain: tuple[str, ...]) -> Look:
        reason = _(
            "%(who)s banned the site's account %(own)s from the room. Lift the ban in the chat; "
            "the room is synced again then.",
            who=observed.own_membership_by or _("Somebody"),
            own=observed.own_id,
        )
        plain = Look(self.record, None, self.last, observed, (), (), None, None)
        return replace(plain, blocked=reason, chain=chain)

    def _gone(self) -> Hold | None:
        if self.lease is None:
            return None
        self.lease.require(0)
        with self.state.database.write() as connection:
            return decide_gone(connection, self.record.id)

    def _observed(self, ref: RoomRef) -> tuple[ObservedRoom | None, tuple[str, ...]]:
        """The room, or the one that it was upgraded to if that is ours to keep; and the rooms it
        replaced."""
        chain = tuple(self.record.chain)
        observed = self.backend.observe(ref)
        for _step in range(UPGRADES):
            if observed is None or not observed.replaced_by:
                break
            newer = self._replacement(ref, observed)
            if newer is None:
                break
            chain = (*chain, observed.remote_id)
            observed = newer
        return observed, chain

    def _replacement(self, ref: RoomRef, older: ObservedRoom) -> ObservedRoom | None:
        """The room that replaces ``older``; None: it is not ours to go on with."""
        new_ref = replace(ref, remote_id=older.replaced_by)
        newer = self.backend.observe(new_ref)
        if newer is None or not follows(newer, older, self.backend.home_of):
            return None
        if self._is_anothers(newer.remote_id):
            return None
        invited = newer.own_membership == "invite"
        if invited and self.lease is not None:
            self.lease.require(0)
            self.backend.accept_invitation(new_ref)
            newer = self.backend.observe(new_ref)
        if newer is not None and newer.own_in_room and newer.own_can_manage:
            return newer
        if invited and newer is not None and newer.own_in_room:
            # Kept only with the power to work there.
            self.backend.leave(new_ref)
        return None

    def _is_anothers(self, remote_id: str) -> bool:
        record = self.record
        taken = select(RoomRow.id).where(
            RoomRow.provider == record.provider,
            RoomRow.id != record.id,
            RoomRow.remote_id == remote_id,
        )
        with self.state.database.read() as connection:
            return connection.execute(taken.limit(1)).first() is not None

    def _target(self, desired: DesiredRoom, observed: ObservedRoom | None) -> Target:
        record = self.record
        rules = rules_of(self.state.registry.get(record.provider), self.values)
        gone, sealer = partial(is_gone, self.state), self.state.sealer
        seating = Seating(record.provider, self.backend, rules, gone, sealer)
        seated = seating.target(self.state.database, desired, record.id)
        target = capped(seated, observed, self.backend)
        return self._without_closed_accounts(target, observed)

    def _without_closed_accounts(self, target: Target, observed: ObservedRoom | None) -> Target:
        """An account that is deactivated leaves its rooms by itself, as a person does: it is asked
        which it was."""
        if observed is None:
            return target
        asked = 0
        seats = []
        for seat in target.seats:
            remote = seat.remote_user_id or ""
            seen = observed.members.get(remote)
            record = self.last.members.get(seat.person_id)
            went = seen is not None and seen.membership == "leave" and seen.by_self
            stays_out = record is not None and record.state in OWN_CHOICE
            gone = gone_by_hand(remote, record, observed)
            # Who is joined is always asked about: Synapse joins a deactivated account when an
            # admin asks it to.
            if went and not stays_out and (not gone or asked < DEPARTURES_ASKED):
                asked += 1 if gone else 0
                facts = self.questions.account(remote, seat.person_id)
                unasked = f"person:{seat.person_id}" in self.questions.undone
                if not facts.usable:
                    account = "unasked" if unasked else "unusable"
                    seat = replace(seat, account=account, reason=facts.reason)  # noqa: PLW2901
            seats.append(seat)
        return replace(target, seats=tuple(seats))

    def _planned(
        self,
        read: Read,
        target: Target | None,
        observed: ObservedRoom | None,
        chain: tuple[str, ...],
    ) -> Look:
        record, last = self.record, self.last
        policy = self._policy(observed)
        if _adopted(record):
            # Whatever differs is from our own earlier try.
            policy = replace(policy, respect_hand_changes=False)
        people = standings(target, last, observed, policy)
        birth = _birth(self.state, record)
        actions = plan(target, last, observed, birth=birth, policy=policy)
        actions = (*self._chained(chain, target, people), *actions)
        facts = facts_of(target, last, observed, people, actions, left_lately=self._lately(actions))
        hold = self._upgraded(observed) or guard(
            replace(
                facts,
                confirmed=record.confirmed,
                course_gone=self._course_gone(read),
            )
        )
        found = details(target, last, observed, policy) if target else None
        kept = allowed(actions, hold, last, people) if hold else actions
        return Look(
            record, target, last, observed, people, kept, hold, found,
            chain=chain, problems=tuple(getattr(read, "problems", ())),
            locking=bool(self.values.get(SETTING)),
            undone=tuple(self.questions.undone.items()),
        )  # fmt: skip

    def _course_gone(self, read: Read) -> str:
        """Another course may have the id of one whose deletion was reported."""
        reported = self.record.course_gone == "reported"
        return self.record.course_gone if read.course is None or reported else ""

    def _is_ours(self, observed: ObservedRoom | None) -> bool:
        """Whether the room says that commweb created it. No other is ever deleted."""
        if observed is None:
            return True
        key = bool(observed.creation_key)
        return self.record.made_by_us and key and observed.creator == observed.own_id

    def _lately(self, actions: Sequence[Action]) -> frozenset[str]:
        if not any(isinstance(action, Remove) for action in actions):
            return frozenset()
        with self.state.database.read() as connection:
            return left_since(connection, self.record.id, now() - A_DAY)

    def _upgraded(self, observed: ObservedRoom | None) -> Hold | None:
        """A room that was replaced by one that is not ours to go on with needs somebody to
        decide."""
        if observed is None or not observed.replaced_by:
            return None
        if {UPGRADED, ANYTHING} & self.record.confirmed:
            return None
        reason = _(
            "The room was upgraded in the chat, and commweb has no power in the new room. Invite "
            "its account there and give it power, or confirm to go on with the old room."
        )
        return Hold("upgraded", reason, (UPGRADED,))

    def _chained(
        self, chain: tuple[str, ...], target: Target | None, people: tuple[Standing, ...]
    ) -> tuple[Action, ...]:
        """Who is not wanted leaves the rooms that this one replaced, too."""
        if not chain:
            return ()
        used = {seat.remote_user_id for seat in target.seats} if target else set()
        names = {one.before.remote_user_id: one.before.display_name for one in people}
        former = {*self.last.past, *(one.before.remote_user_id for one in people)} - used
        found: list[Action] = []
        for remote_id in chain:
            ref = RoomRef(self.record.course_id, self.record.made_for_group, "", remote_id)
            older = self.questions.replaced(ref)
            if older is None or not (older.own_in_room and older.own_can_manage):
                continue
            found += [
                Remove("", remote, names.get(remote) or remote, older.name, room_id=remote_id)
                for remote in sorted(name for name in former if name)
                if remote != older.own_id and is_inside(older, remote)
            ]
        return tuple(found)

    def _policy(self, observed: ObservedRoom | None) -> Policy:
        values, levels = self.values, level_map(self.values)
        rule = str(values.get("closing_rule", "remove_members"))
        if rule == "delete_room" and not self._is_ours(observed):
            rule = "remove_members"
        student, teacher = levels[Role.PARTICIPANT], levels[Role.MODERATOR]
        return Policy(
            respect_hand_changes=bool(values.get("respect_hand_changes", True)),
            closing_rule=rule,
            remove_others=bool(values.get("remove_others", False)),
            fast_fill=bool(values.get("fast_fill", False)),
            invite_level=_invite_level(values, teacher),
            student_level=student,
            teacher_level=teacher,
        )


def _invite_level(values: Mapping[str, Any], teacher_level: int) -> int | None:
    """The level that inviting needs: the lower of 50 and the teachers', at least 1; None:
    everybody may."""
    if values.get("who_may_invite", "moderators") != "moderators":
        return None
    return max(1, min(50, teacher_level))


def _values(state: State, provider_id: str) -> Mapping[str, Any]:
    provider = state.registry.get(provider_id)
    return state.values(provider).values if provider else {}


def _adopted(record: RoomRecord) -> bool:
    """Whether the room was found after a lost reply, and no run has done all of it since."""
    return record.remote_id is not None and record.name is None


def _new_key() -> str:
    return secrets.token_hex(16)


def _with_key(record: RoomRecord) -> RoomRecord:
    return record if record.creation_key else replace(record, creation_key=_new_key())


def _birth(state: State, record: RoomRecord) -> Birth:
    started = record.creation_started_at
    origin = (
        ("instance", state.config.instance),
        ("course", record.course_id),
        ("group", record.group_id),
    )
    return Birth(record.creation_key or "", started.timestamp() if started else None, origin)
