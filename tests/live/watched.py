"""A small school connected to a real Synapse of its own, and somebody who chats there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests
from sqlalchemy import select, update

from commweb.models import Connection, MemberRow, RoomRow, now
from commweb.site.homeserver import Homeserver
from commweb.sync.schedule import end_rests
from commweb.sync.worker import Worker
from tests.live.conftest import AdminSession
from tests.live.crew import connect
from tests.sites import Site, site
from tests.synapse_eyes import SynapseEyes

__all__ = ["BOT", "COURSE", "Chatter", "Watched", "watched"]

BOT = "@admin:localhost"
COURSE = "7"
PASSWORD = "a-password-of-the-tests"
LOOPBACK_ONLY = {"COMMWEB_ALLOWED_PRIVATE_HOSTS": "127.0.0.0/8"}


def quoted(text: str) -> str:
    return quote(text, safe="")


@dataclass
class Chatter:
    """A person's own client."""

    base_url: str
    user_id: str
    token: str = field(repr=False)

    def ask(self, method: str, path: str, **content: Any) -> requests.Response:
        url = f"{self.base_url}/_matrix/client/v3{path}"
        headers = {"Authorization": f"Bearer {self.token}"}
        return requests.request(method, url, headers=headers, json=content, timeout=30)

    def room(self, room_id: str, method: str, path: str, **content: Any) -> requests.Response:
        return self.ask(method, f"/rooms/{quoted(room_id)}/{path}", **content)


@dataclass
class Watched:
    """A school with the course `COURSE`, and what the homeserver and our records say of it."""

    site: Site
    server: Homeserver
    eyes: SynapseEyes

    def sync(self, *, rested: bool = True, kind: str = "course_changed") -> None:
        """Report the course and work until nothing is due; ``rested``: nothing waits."""
        with self.site.app.app_context():
            getattr(self.site.comm, kind)(COURSE)
            self.site.db.session.commit()
        if rested:
            self.end_waits()
        worker = Worker(self.site.state)
        worker.work()
        worker.close()

    def end_waits(self) -> None:
        """As if the time had passed that rooms and the provider wait."""
        with self.site.state.database.write() as connection:
            connection.execute(update(Connection).values(blocked_until=None))
            past = now() - timedelta(seconds=1)
            late = RoomRow.unsure_until.is_not(None)
            connection.execute(update(RoomRow).where(late).values(unsure_until=past))
            connection.execute(update(RoomRow).values(next_attempt_at=past))
            end_rests(connection, "matrix")

    @property
    def row(self) -> Any:
        with self.site.state.database.read() as connection:
            columns = (
                RoomRow.remote_id,
                RoomRow.status,
                RoomRow.reason,
                RoomRow.held_kind,
                RoomRow.guests,
                RoomRow.undone,
            )
            return connection.execute(select(*columns).where(RoomRow.course_id == COURSE)).one()

    @property
    def room_id(self) -> str:
        return str(self.row.remote_id)

    def states(self) -> dict[str, tuple[str, str]]:
        """Each person's state and reason, as recorded."""
        columns = (MemberRow.person_id, MemberRow.state, MemberRow.reason)
        with self.site.state.database.read() as connection:
            rows = connection.execute(select(*columns)).all()
        return {person: (state, str(reason or "")) for person, state, reason in rows}

    def waits_for(self) -> str:
        """Why nothing is done with the provider now, in words; empty: it works."""
        with self.site.app.app_context():
            session = self.site.state.tokens(self.site.state.registry.get("matrix")).read()
        return str(session.trouble or "")

    def checked(self) -> list[tuple[str, str]]:
        """Levels and words of "Test connection"."""
        provider = self.site.state.registry.get("matrix")
        with self.site.app.app_context():
            findings = provider.check(self.site.state.context(provider), 10.0)
        return [(finding.level, finding.message) for finding in findings]

    def inside(self) -> set[str]:
        """Localparts of who is in the room or invited, but for the site's account."""
        members = self.eyes.room(self.room_id).inside(BOT)
        return {one.partition(":")[0][1:] for one in members}

    def content(self, event_type: str) -> dict[str, Any]:
        found = [e["content"] for e in self.eyes.state(self.room_id) if e["type"] == event_type]
        return dict(found[0])

    def put(self, event_type: str, **content: Any) -> None:
        """Set state of the room by hand, as the server's own administrator could."""
        path = f"/_matrix/client/v3/rooms/{quoted(self.room_id)}/state/{event_type}/"
        self.server.admin("PUT", path, json=content)

    def set_levels(self, **changed: Any) -> None:
        self.put("m.room.power_levels", **{**self.content("m.room.power_levels"), **changed})

    def level(self, user_id: str, level: int) -> None:
        users = self.content("m.room.power_levels")["users"]
        self.set_levels(users={**users, user_id: level})

    def chatter(self, username: str) -> Chatter:
        """A signed-in client of an account that is there."""
        self.server.set_password(username, PASSWORD)
        answer = self.server.login(username, PASSWORD)
        return Chatter(self.server.base_url, answer["user_id"], answer["access_token"])


@contextmanager
def watched(
    folder: Path,
    server: Homeserver,
    sign_in: Callable[[Homeserver], AdminSession],
    url: str | None = None,
    **values: str | bool,
) -> Iterator[Watched]:
    """``url``: where the school finds the homeserver, when something stands between them."""
    with site(folder, **LOOPBACK_ONLY) as made:
        connect(made, sign_in(server), url or server.base_url, **values)
        yield Watched(made, server, SynapseEyes(server))
