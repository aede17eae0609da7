"""What courses chose: which provider, which rooms, and what was entered for each provider."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, and_, select
from sqlalchemy.dialects import postgresql, sqlite

from commweb.models import CourseChoice, CourseOption
from commweb.sync.desired import Choice

__all__ = ["Options", "choice_of", "insert_into", "options_of", "store_choice"]

Options = Mapping[str, Mapping[str, Any]]
"""What was entered for a course, by the provider's id."""
NOTHING: Options = MappingProxyType({})


def choice_of(connection: Connection, course_id: str, *, lock: bool = False) -> Choice | None:
    """What the course chose, with the options kept for the chosen provider. ``lock``: nobody
    chooses anything else before the transaction ends."""
    if lock:
        chosen = select(CourseChoice.course_id).where(CourseChoice.course_id == course_id)
        connection.execute(chosen.with_for_update())
    row = connection.execute(
        select(
            CourseChoice.provider,
            CourseChoice.room_mode,
            CourseChoice.group_template,
            CourseOption.values,
        )
        .join(
            CourseOption,
            and_(
                CourseOption.course_id == CourseChoice.course_id,
                CourseOption.provider == CourseChoice.provider,
            ),
            isouter=True,
        )
        .where(CourseChoice.course_id == course_id)
    ).first()
    if row is None:
        return None
    options = row[3] or {}
    return Choice(
        provider=row[0],
        room_mode=row[1],
        group_template=row[2],
        name=options.get("name") or "",
        topic=options.get("topic") or None,
        picture=bool(options.get("picture", True)),
    )


def options_of(connection: Connection, course_id: str) -> Options:
    """What was entered for each provider, the chosen one and those the course left."""
    rows = connection.execute(
        select(CourseOption.provider, CourseOption.values).where(
            CourseOption.course_id == course_id
        )
    )
    return {provider: values or {} for provider, values in rows}


def store_choice(
    connection: Connection,
    course_id: str,
    course_name: str,
    *,
    provider: str,
    room_mode: str | None = None,
    group_template: str | None = None,
    options: Options = NOTHING,
) -> None:
    """Store what a course chose. None, and a provider that is not in ``options``, keep what
    was stored before."""
    given = {"provider": provider, "course_name": course_name[:255]}
    if room_mode is not None:
        given["room_mode"] = room_mode
    if group_template is not None:
        given["group_template"] = group_template
    choice = insert_into(connection, CourseChoice).values(course_id=course_id, version=1, **given)
    connection.execute(
        choice.on_conflict_do_update(
            index_elements=["course_id"], set_={**given, "version": CourseChoice.version + 1}
        )
    )
    for key, values in options.items():
        option = insert_into(connection, CourseOption).values(
            course_id=course_id, provider=key, values=dict(values)
        )
        connection.execute(
            option.on_conflict_do_update(
                index_elements=["course_id", "provider"], set_={"values": dict(values)}
            )
        )


def insert_into(connection: Connection, model: type[Any]) -> Any:
    """An INSERT of the database's own dialect, which knows ON CONFLICT."""
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(model)
