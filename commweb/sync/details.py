"""Name, topic, picture and read-only of a room: the three-way rule, what to change. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from commweb.i18n import gettext as _
from commweb.providers.rooms import Action, ObservedRoom, SetName, SetPicture, SetTopic
from commweb.sync.known import Applied, Intended, Policy, Target

__all__ = ["Details", "closed_level", "details"]

T = TypeVar("T")

READ_ONLY_LEVEL = 50
EVERYBODY_INVITES = 0
FIRST_INVITE_LEVEL = 50
MOST_LISTED = 400
"""More people than this are given their level as everybody's: an event holds 64 KiB."""


@dataclass(frozen=True)
class Details:
    """What to do about a room's details.

    ``read_only`` None: leave it alone; False: back to ``open_level``. ``invite_level`` and
    ``default_level`` None: leave them alone. ``record`` is what to store before the actions are
    done: what the observation confirmed, and what is on its way now. ``kept`` says in sentences
    what was set by hand and stays.
    """

    actions: tuple[Action, ...]
    read_only: bool | None
    record: Applied
    kept: tuple[str, ...] = ()
    open_level: int = 0
    invite_level: int | None = None
    default_level: int | None = None


def details(
    target: Target, applied: Applied, observed: ObservedRoom | None, policy: Policy
) -> Details:
    """Compare. ``observed`` None: the room is about to be created, with its name and topic."""
    if observed is None:
        return _newborn(target, applied, policy)
    room, coming, respect = target.room, applied.intended, policy.respect_hand_changes
    name = _Way(observed.name, room.name, applied.name, coming.name, respect)
    topic = _Way(observed.topic, room.topic, applied.topic, coming.topic, respect)
    writing = _writing(room.read_only, applied, observed, respect=respect)
    inviting = _inviting(applied, observed, policy)
    picture = _picture(target, applied, observed.picture_uri or "", respect)
    default_level = _default_level(target, observed, policy)
    read_only = writing.sent
    if default_level is not None and writing.confirmed and room.read_only:
        read_only = True  # the level that keeps people from writing depends on everybody's
    actions: list[Action] = []
    if name.write:
        actions.append(SetName(room.name))
    if topic.write:
        actions.append(SetTopic(room.topic))
    if picture.action is not None:
        actions.append(picture.action)
    sent = picture.sent or _Shown(None, None)
    record = replace(
        applied,
        name=name.confirmed,
        topic=topic.confirmed,
        read_only=writing.confirmed,
        open_level=writing.open_level,
        picture_digest=picture.confirmed.digest or None,
        picture_uri=picture.confirmed.uri or None,
        intended=Intended(
            name.sent,
            topic.sent,
            sent.digest,
            sent.uri,
            writing.sent,
            inviting.recorded,
            inviting.sent,
        ),
    )
    kept = {
        _("The name was set by hand."): name.kept,
        _("The topic was set by hand."): topic.kept,
        _("The picture was set by hand."): picture.kept,
        _("Posting permissions were changed in the chat."): writing.kept,
        _("Who may invite was changed in the chat."): inviting.kept,
    }
    said = tuple(sentence for sentence, is_kept in kept.items() if is_kept)
    return Details(
        tuple(actions),
        read_only,
        record,
        said,
        open_level=writing.open_level or 0,
        invite_level=inviting.sent,
        default_level=default_level,
    )


def _newborn(target: Target, applied: Applied, policy: Policy) -> Details:
    room, coming = target.room, applied.intended
    # An earlier try may have created the room already, with what was intended then.
    record = replace(
        applied,
        name=applied.name if coming.name is None else coming.name,
        topic=applied.topic if coming.topic is None else coming.topic,
        picture_digest=None,
        picture_uri=None,
        read_only=False,
        open_level=None,
        intended=Intended(
            room.name,
            room.topic,
            read_only=room.read_only,
            invite_level=policy.invite_level or EVERYBODY_INVITES,
        ),
    )
    actions = (SetPicture(room.picture),) if room.picture else ()
    return Details(actions, room.read_only or None, record)


@dataclass(frozen=True)
class _Writing:
    """Who may write. ``sent``: what to make of it (None: leave it); ``confirmed``: what is
    recorded; ``open_level``: the level to go back to."""

    sent: bool | None
    confirmed: bool | None
    open_level: int | None
    kept: bool = False


def closed_level(default_level: int) -> int:
    """The level for messages with which only moderators write."""
    return max(READ_ONLY_LEVEL, default_level + 1)


def _writing(wanted: bool, applied: Applied, observed: ObservedRoom, *, respect: bool) -> _Writing:
    ours = applied.read_only is True or applied.intended.read_only is True
    if wanted:
        return _closed(applied, observed, ours=ours, respect=respect)
    if ours:
        return _reopened(applied, observed, respect=respect)
    # Never closed by us: what the chat says stays.
    if observed.read_only and not respect:
        return _Writing(False, applied.read_only, 0)
    kept = observed.read_only and applied.read_only is not None
    return _Writing(None, False, None, kept=kept)


def _closed(applied: Applied, observed: ObservedRoom, *, ours: bool, respect: bool) -> _Writing:
    before = applied.open_level if ours else observed.message_level
    if observed.read_only:
        return _Writing(None, True, before)
    if respect and applied.read_only:
        return _Writing(None, True, before, kept=True)
    return _Writing(True, applied.read_only, before)


def _reopened(applied: Applied, observed: ObservedRoom, *, respect: bool) -> _Writing:
    back = applied.open_level or 0
    if observed.message_level == back:
        return _Writing(None, False, None)
    if respect and observed.message_level != closed_level(observed.default_level):
        return _Writing(None, False, None, kept=True)
    return _Writing(False, applied.read_only, back)


@dataclass(frozen=True)
class _Inviting:
    """Who may invite: the level to write, and the one recorded as ours before that."""

    sent: int | None
    recorded: int | None
    kept: bool = False


def _inviting(applied: Applied, observed: ObservedRoom, policy: Policy) -> _Inviting:
    wanted, last, now = policy.invite_level, applied.intended.invite_level, observed.invite_level
    sent = applied.intended.invite_sent
    if wanted is None and now not in (last, sent):
        return _Inviting(None, last)  # everybody may, or what the chat says
    wanted = wanted or EVERYBODY_INVITES
    if now == wanted:
        return _Inviting(None, wanted)
    # Rooms of earlier versions: as a server creates them, or as commweb did.
    before = last is None and (now <= EVERYBODY_INVITES or now == FIRST_INVITE_LEVEL)
    ours = before or now in (last, sent)
    if policy.respect_hand_changes and not ours:
        return _Inviting(None, last, kept=True)
    return _Inviting(wanted, last)


def _default_level(target: Target, observed: ObservedRoom, policy: Policy) -> int | None:
    """Everybody's level, where naming each person would make the room's levels too large."""
    level = policy.student_level
    if level == observed.default_level or level >= policy.teacher_level:
        return None
    same = sum(seat.level == level for seat in target.seats)
    return level if same > MOST_LISTED else None


@dataclass(frozen=True)
class _Way(Generic[T]):
    """One value: as it is now, as wanted, as applied last, as intended last."""

    now: T
    wanted: T
    last: T | None
    coming: T | None
    respect: bool

    @property
    def write(self) -> bool:
        never = self.last is None and self.coming is None
        ours = never or self.now in (self.last, self.coming)
        return self.now != self.wanted and (ours or not self.respect)

    @property
    def kept(self) -> bool:
        return self.now != self.wanted and not self.write

    @property
    def confirmed(self) -> T | None:
        return self.now if self.now in (self.wanted, self.coming) else self.last

    @property
    def sent(self) -> T | None:
        return self.wanted if self.write else None


@dataclass(frozen=True)
class _Shown:
    """A picture that was uploaded; both empty: no picture."""

    digest: str | None
    uri: str | None


@dataclass(frozen=True)
class _Picture:
    confirmed: _Shown
    sent: _Shown | None = None
    action: SetPicture | None = None
    kept: bool = False


def _picture(target: Target, applied: Applied, now: str, respect: bool) -> _Picture:
    picture, coming = target.room.picture, applied.intended
    last = _Shown(applied.picture_digest, applied.picture_uri or "")
    ours = {last.uri: last}
    if coming.picture_uri is not None:
        ours[coming.picture_uri] = _Shown(coming.picture_digest, coming.picture_uri)
    uploads = {"": ""} | {shown.digest: shown.uri for shown in ours.values() if shown.uri}
    digest = picture.digest if picture else ""
    uri = uploads.get(digest)
    if now == uri:
        return _Picture(_Shown(digest, uri))
    if respect and now not in ours:
        return _Picture(last, kept=True)
    sent = None if uri is None else _Shown(digest, uri)
    return _Picture(ours.get(now, last), sent, SetPicture(picture, uri or None))
