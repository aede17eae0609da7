"""Small rooms, people and records for tests of what is decided."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from commweb.providers.rooms import ObservedMember, ObservedRoom, Picture
from commweb.sync.desired import DesiredRoom
from commweb.sync.known import Applied, AppliedMember, Policy, Seat, Target
from commweb.sync.plan import Birth, plan
from commweb.sync.standing import Standing, standings

OWN = "@bot:sim"
ROOM = DesiredRoom("", "any", "Algebra", "Numbers", "algebra")
BIRTH = Birth("key", 12.5, (("course", "1"),))
JOINED = ObservedMember("join", by_self=True)
PICTURE = Picture("d1", "image/png", lambda: b"")


def seat(name: str = "ada", level: int = 0, **more: Any) -> Seat:
    return Seat(name, name.title(), more.pop("account_id", f"@{name}:sim"), level, **more)


def record(state: str = "in", level: int | None = 0, **more: Any) -> AppliedMember:
    values: dict[str, Any] = {
        "remote_user_id": "@ada:sim",
        "display_name": "Ada",
        "intended_level": level,
        "applied_level": level,
        "state": state,
    }
    return AppliedMember(**{**values, **more})


def observed(**more: Any) -> ObservedRoom:
    inside = {f"@{name}:sim": JOINED for name in more.pop("inside", ())}
    members = {OWN: JOINED, **inside, **more.pop("members", {})}
    if more.get("read_only"):
        more.setdefault("message_level", 50)
    plain = ObservedRoom("!room", "Algebra", "Numbers", members=members, own_id=OWN)
    return replace(plain, **{"creators": frozenset({OWN}), **more})


def one(
    wanted: Seat | None, known: AppliedMember | None, room: ObservedRoom | None, **policy: Any
) -> Standing:
    target = Target(ROOM, (wanted,) if wanted else ())
    applied = Applied(members={"ada": known} if known else {})
    (only,) = standings(target, applied, room, Policy(**policy))
    return only


def planned(
    target: Target, applied: Applied, room: ObservedRoom | None, **policy: Any
) -> list[Any]:
    return list(plan(target, applied, room, birth=BIRTH, policy=Policy(**policy)))


LAST = Applied("Algebra", "Numbers", "d0", "mxc://0", read_only=False)
