"""Who is in a room without being of its course. Pure."""

from __future__ import annotations

from typing import Any

from commweb.providers.rooms import ObservedRoom
from commweb.sync.known import Applied, Target
from commweb.sync.standing import is_inside

__all__ = ["MOST_GUESTS", "guests_of"]

MOST_GUESTS = 500
"""So many guests at the most are recorded by name."""


def guests_of(
    target: Target | None, applied: Applied, observed: ObservedRoom
) -> list[dict[str, Any]]:
    """The accounts inside that commweb never put there: ``id``, and ``by``, who let them in where
    that is known."""
    ours = {seat.remote_user_id for seat in target.seats} if target else set()
    ours |= {record.remote_user_id for record in applied.members.values()}
    ours |= {observed.own_id, *applied.past}
    found = sorted(
        remote for remote in observed.members if remote not in ours and is_inside(observed, remote)
    )
    return [{"id": one, "by": observed.members[one].by} for one in found[:MOST_GUESTS]]
