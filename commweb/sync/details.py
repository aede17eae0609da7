"""Name, topic, picture and read-only of a room: the three-way rule, what to change. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from commweb.i18n import gettext as _
from commweb.providers.rooms import Action, ObservedRoom, SetName, SetPicture, SetTopic
from commweb.sync.known import Applied, Intended, Policy, Target

__all__ = ["Details", "details"]

T = TypeVar("T")


@dataclass(frozen=True)
class Details:
    """What to do about a room's details.

    ``read_only`` None: leave it alone. ``record`` is what to store before the actions are done:
    what the observation confirmed, and what is on its way now. ``kept`` says in sentences what
    was set by hand and stays.
    """

    actions: tuple[Action, ...]
    read_only: bool | None
    record: Applied
    kept: tuple[str, ...] = ()


def details(
    target: Target, applied: Applied, observed: ObservedRoom | None, policy: Policy
) -> Details:
    """Compare. ``observed`` None: the room is about to be made, with its name and topic."""
    if observed is None:
        return _newborn(target, applied)
    room, coming, respect = target.room, applied.intended, policy.respect_hand_changes
    name = _Way(observed.name, room.name, applied.name, coming.name, respect)
    topic = _Way(observed.topic, room.topic, applied.topic, coming.topic, respect)
    closed = _Way(observed.read_only, room.read_only, applied.read_only, coming.read_only, respect)
    picture = _picture(target, applied, observed.picture_uri or "", respect)
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
        read_only=closed.confirmed,
        picture_digest=picture.confirmed.digest or None,
        picture_uri=picture.confirmed.uri or None,
        intended=Intended(name.sent, topic.sent, sent.digest, sent.uri, closed.sent),
    )
    kept = {
        _("The name was set by hand."): name.kept,
        _("The topic was set by hand."): topic.kept,
        _("The picture was set by hand."): picture.kept,
        _("Who may write was set by hand."): closed.kept,
    }
    said = tuple(sentence for sentence, is_kept in kept.items() if is_kept)
    return Details(tuple(actions), closed.sent, record, said)


def _newborn(target: Target, applied: Applied) -> Details:
    room, coming = target.room, applied.intended
    # An earlier try may have made the room already, with what was intended then.
    record = replace(
        applied,
        name=applied.name if coming.name is None else coming.name,
        topic=applied.topic if coming.topic is None else coming.topic,
        picture_digest=None,
        picture_uri=None,
        read_only=False,
        intended=Intended(room.name, room.topic, read_only=room.read_only),
    )
    actions = (SetPicture(room.picture),) if room.picture else ()
    return Details(actions, room.read_only or None, record)


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
