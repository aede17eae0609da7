"""The bare clients: what the homeserver can do when nothing is remembered and nothing checked."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from commweb.providers.matrix.identifiers import room_alias_name
from commweb.providers.matrix.rooms import NewRoomRules, creation_content
from commweb.providers.rooms import CreateRoom, Join
from tests.bench.child import run_child
from tests.bench.measure import SETTLE_SECONDS, Fill, peak_mib

if TYPE_CHECKING:
    from tests.bench.world import Arena

__all__ = ["bound", "naive"]


def job(site: Arena, label: str, courses: int, people: int, **more: Any) -> dict[str, Any]:
    """What a bare client has to do: the bodies commweb would send, for new people."""
    own = site.server.user_id("commweb")
    rooms = []
    for number in range(courses):
        name = f"{label}{number}"
        ids = [site.server.user_id(f"{name}p{place}") for place in range(people)]
        listed = [{"id": user_id, "name": f"Person {place}"} for place, user_id in enumerate(ids)]
        action = CreateRoom(
            f"Course {name}", "", name, os.urandom(16).hex(), None, {ids[0]: 50}, None,
            {"instance": "", "course": name, "group": ""},
            invited=tuple(Join(one["id"], one["id"], one["name"]) for one in listed),
        )  # fmt: skip
        content = creation_content(
            action,
            alias_name=room_alias_name(name, action.creation_key),
            own_id=own,
            room_version=site.room_version,
            rules=NewRoomRules(),
            picture_uri=None,
        )
        rooms.append({"create": content, "people": listed})
    return {
        "base_url": site.base_url, "ca_bundle": site.ca_bundle, "token": site.token,
        "rooms": rooms, **more,
    }  # fmt: skip


def bare(site: Arena, who: str, module: str, work: dict[str, Any]) -> Fill:
    """Run a bare client."""
    people = len(work["rooms"][0]["people"])
    memberships = people * len(work["rooms"])

    def around(go: Callable[[], Any], pid: int) -> tuple[Any, float, float]:
        time.sleep(SETTLE_SECONDS)
        before = site.server.cpu_seconds()
        result = go()
        return result, site.server.cpu_seconds() - before, peak_mib(pid)

    result, synapse_cpu, peak = run_child(module, work, around)
    site.check(result["rooms"], people)
    return Fill(
        who, memberships, result["requests"], result["seconds"], result["cpu"], synapse_cpu,
        peak,
    )  # fmt: skip


def bound(
    site: Arena, label: str, workers: int, courses: int, people: int, shape: str = "rooms"
) -> Fill:
    """As many threads as commweb has workers: a room each, or round robin over the rooms."""
    work = job(site, label, courses, people, workers=workers, shape=shape)
    return bare(site, "bound" if shape == "rooms" else shape, "tests.bench.bound", work)


def naive(site: Arena, label: str, courses: int, people: int) -> Fill:
    """One call after the other, a new connection a call."""
    return bare(site, "naive", "tests.bench.naive", job(site, label, courses, people))
