"""Reporting in the host's session; after its outermost commit the worker is woken.

The listeners are functions without state, registered once per ``db``; they find the app through
``current_app``. Savepoints commit too, so only the outermost commit counts.
"""

from __future__ import annotations

from typing import Any

from flask import current_app
from sqlalchemy import event
from sqlalchemy.orm import Session

from commweb.answers import ID_LENGTH, storable_id
from commweb.errors import MisuseError
from commweb.models import Change
from commweb.state import State

__all__ = ["listen", "report", "require_id"]

FLAG = "commweb_reported"


def listen(db: Any) -> None:
    """Listen to the sessions of ``db``; calling it again changes nothing."""
    if not event.contains(db.session, "after_commit", _after_commit):
        event.listen(db.session, "after_commit", _after_commit)


def report(
    state: State,
    kind: str,
    *,
    course_id: str = "",
    person_id: str = "",
    provider: str | None = None,
) -> None:
    """Add one `Change` to the host's session; no flush, no commit.

    ``kind``: see `commweb.sync.reports.Report`; of a deleted group ``person_id`` is the group's
    id. Raises `MisuseError` for an id that is not a
    string or that no database can keep.
    """
    require_id(course_id or person_id)
    for given in filter(None, (course_id, person_id)):
        _require_storable(given)
    state.db.session.info[FLAG] = True
    state.db.session.add(
        Change(course_id=course_id, person_id=person_id, kind=kind, provider=provider)
    )


def require_id(given: object) -> None:
    """Raise `MisuseError` for an id of a course or person that is not a string."""
    if not isinstance(given, str) or not given:
        raise MisuseError(
            f"commweb's ids are strings that are not empty, not {type(given).__name__}. "
            "Name the course or person by str(id), after the flush that gives it one."
        )


def _require_storable(given: str) -> None:
    # The host's own commit would fail with it.
    if not storable_id(given):
        raise MisuseError(
            f"commweb's ids have at most {ID_LENGTH} characters, without NUL and halves of "
            "characters. Name the course or person by a shorter id."
        )


def _after_commit(session: Session) -> None:
    if session.in_nested_transaction() or not session.info.pop(FLAG, False):
        return
    if current_app:
        state = current_app.extensions.get("commweb")
        if isinstance(state, State):
            state.queue.wake()
