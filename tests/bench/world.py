"""A fresh Synapse and a course site that is signed in to it, and the ways to fill rooms on it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from flask import Flask
from sqlalchemy import select

from app import create_app
from commweb.models import RoomRow, now
from commweb.site import comm, db
from commweb.site.children import Child, watched_module
from commweb.site.homeserver import Homeserver, install_synapse
from commweb.site.homeserver_config import free_port
from commweb.site.homeserver_setup import connect
from commweb.site.models import Course, Enrolment, Role, User
from commweb.site.seed import prepare
from tests.bench.bare import bound
from tests.bench.counted import new_counter, read_counter
from tests.bench.https import Secured
from tests.bench.measure import SETTLE_SECONDS, Fill, cpu_seconds, peak_mib
from tests.reconnecting import reconnect, sign_in

__all__ = ["Arena", "WorkerProcess", "arena", "synapse_version"]

ROOT = Path(__file__).resolve().parents[2]
LOOPBACK = "127.0.0.0/8"
LOGINS = {"per_second": 1000, "burst_count": 1000}
SYNAPSE = {
    "bcrypt_rounds": 4,
    "rc_login": dict.fromkeys(("address", "account", "failed_attempts"), LOGINS),
}
QUIET = """
SELECT (SELECT count(*) FROM commweb_change)
     + (SELECT count(*) FROM commweb_room WHERE synced_revision < revision)
"""


@dataclass
class WorkerProcess:
    """``flask commweb worker`` with a counter at its door."""

    child: Child
    counter: Path

    @property
    def requests(self) -> int:
        return read_counter(self.counter)


@dataclass
class Arena:
    """One fresh server, and one site. ``token`` is a sign-in of the site's own account for the bare
    clients, so that both sides act as the same person."""

    folder: Path
    app: Flask
    server: Homeserver
    token: str = field(repr=False)
    secured: Secured | None = None
    room_version: str = "12"
    workers: list[WorkerProcess] = field(default_factory=list)

    @property
    def base_url(self) -> str:
        """Where those who are measured send their requests."""
        return self.secured.base_url if self.secured else self.server.base_url

    @property
    def ca_bundle(self) -> str | None:
        return str(self.secured.certificate) if self.secured else None

    # commweb's own path

    def worker(self, threads: int) -> WorkerProcess:
        """Start a worker process; it is stopped with the arena, or by `Child.stop`."""
        counter = new_counter(self.folder / f"requests-{len(self.workers)}")
        environment = {
            **os.environ,
            "INSTANCE": str(self.folder),
            "BENCH_COUNTER": str(counter),
            "FLASK_COMMWEB_ALLOWED_PRIVATE_HOSTS": LOOPBACK,
        }
        if self.ca_bundle:
            environment["FLASK_COMMWEB_CA_BUNDLE"] = self.ca_bundle
        child = Child(
            watched_module(
                *("flask", "--app", "tests.bench.counted", "commweb"),
                *("worker", "--workers", str(threads)),
            ),
            folder=ROOT,
            environment=environment,
            log=self.folder / "worker.log",
        )
        self.workers.append(WorkerProcess(child, counter))
        return self.workers[-1]

    def courses(self, label: str, courses: int, people: int) -> list[str]:
        """Courses with people nobody knows yet, stored and not reported; their ids."""
        with self.app.app_context():
            made = [
                self._course(f"{label}{number}", self._people(f"{label}{number}", people))
                for number in range(courses)
            ]
            db.session.commit()
            return [str(course.id) for course in made]

    def courses_again(self, label: str, like: list[str]) -> list[str]:
        """New courses with the people of these; their ids."""
        with self.app.app_context():
            made = []
            for number, course_id in enumerate(like):
                old = db.session.get_one(Course, int(course_id))
                users = [enrolment.user for enrolment in old.enrolments]
                made.append(self._course(f"{label}{number}", users))
            db.session.commit()
            return [str(course.id) for course in made]

    def _people(self, prefix: str, count: int) -> list[User]:
        return [User(f"{prefix}p{number}", f"Person {number}") for number in range(count)]

    def _course(self, name: str, people: list[User]) -> Course:
        course = Course(full_name=f"Course {name}", short_name=name)
        db.session.add(course)
        course.enrolments.extend(
            Enrolment(user=user, role=Role.STUDENT if place else Role.TEACHER)
            for place, user in enumerate(people)
        )
        return course

    def report(self, course_ids: list[str], *, new: bool) -> datetime:
        """The change rows in one commit, as the site writes them; when that began."""
        with self.app.app_context():
            started = now()
            for course_id in course_ids:
                if new:
                    comm.course_created(course_id, provider="matrix")
                else:
                    comm.course_changed(course_id)
            db.session.commit()
            return started

    def wait(self, seconds: float = 600) -> None:
        """Until nothing is reported and nothing is due. Raises after ``seconds``."""
        ends = time.monotonic() + seconds
        uri = f"file:{self.folder / 'site.db'}?mode=ro"
        while time.monotonic() < ends:
            connection = sqlite3.connect(uri, uri=True)
            try:
                left = connection.execute(QUIET).fetchone()[0]
            finally:
                connection.close()
            if not left:
                return
            time.sleep(0.1)
        raise RuntimeError(f"{left} changes and rooms are still waiting after {seconds:.0f} s.")

    def remote_ids(self, course_ids: list[str]) -> list[str]:
        with self.app.app_context():
            rows = db.session.scalars(
                select(RoomRow.remote_id).where(RoomRow.course_id.in_(course_ids))
            )
            return [room or "" for room in rows]

    def _finished(self, course_ids: list[str]) -> datetime:
        with self.app.app_context():
            return max(
                db.session.scalars(
                    select(RoomRow.updated_at).where(RoomRow.course_id.in_(course_ids))
                )
            )

    def synced(self, who: str, worker: WorkerProcess, course_ids: list[str], *, new: bool) -> Fill:
        """Report the courses and wait until their rooms equal them: from the commit of the change
        rows to the last room's last write."""
        pid = worker.child.pid
        sent, ours, theirs = worker.requests, cpu_seconds(pid), self.server.cpu_seconds()
        started = self.report(course_ids, new=new)
        self.wait()
        ours, theirs = cpu_seconds(pid) - ours, self.server.cpu_seconds() - theirs
        seconds = (self._finished(course_ids) - started).total_seconds()
        sent = worker.requests - sent
        return Fill(who, 0, sent, seconds, ours, theirs, peak_mib(pid))

    def by_commweb(
        self, label: str, worker: WorkerProcess, courses: int, people: int, who: str = "commweb"
    ) -> Fill:
        """Fill new rooms with new people through commweb."""
        ids = self.courses(label, courses, people)
        time.sleep(SETTLE_SECONDS)
        done = self.synced(who, worker, ids, new=True)
        self.check(self.remote_ids(ids), people)
        return replace(done, memberships=courses * people)

    @contextmanager
    def fast_fill(self) -> Iterator[None]:
        """With the option that fills new rooms while their door is open."""
        self._choose(fast_fill=True)
        try:
            yield
        finally:
            self._choose(fast_fill=False)

    def _choose(self, **values: bool) -> None:
        with self.app.app_context():
            comm.configure("matrix", values)

    def enrol_one(self, course_id: str, username: str) -> None:
        """One more student, stored and not reported."""
        with self.app.app_context():
            course = db.session.get_one(Course, int(course_id))
            course.enrolments.append(Enrolment(user=User(username, "Late"), role=Role.STUDENT))
            db.session.commit()

    def check(self, rooms: list[str], people: int) -> None:
        """Every room has its people and the acting account. Raises otherwise."""
        for room in rooms:
            path = f"/_synapse/admin/v1/rooms/{quote(room, safe='')}/members"
            found = self.server.admin("GET", path)["total"]
            if found != people + 1:
                raise RuntimeError(f"The room {room} has {found} members, not {people + 1}.")


def synapse_version() -> str:
    """The version of the homeserver that is measured with."""
    question = "import importlib.metadata as m; print(m.version('matrix-synapse'))"
    asked = [str(install_synapse()), "-c", question]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


@contextmanager
def arena(*, threads: int = 0, one_processor: bool = True, https: bool = True) -> Iterator[Arena]:
    """A fresh server with a connected site; with ``threads`` also a worker process. Both sides
    have filled a small room before anything is measured. ``one_processor``: see `Homeserver`;
    ``https``: whoever is measured speaks HTTPS to it."""
    folder = Path(tempfile.mkdtemp(prefix="commweb-bench-"))
    secured = Secured.make(folder) if https else None
    app = create_app(_site_config(folder, secured))
    server = _homeserver(folder, secured, one_processor)
    made: Arena | None = None
    try:
        server.start()
        prepare(app)
        connect(app, server, folder)
        made = Arena(folder, app, server, _prepared(server), secured)
        if secured:
            reconnect(app, server, secured.base_url)
        if threads:
            made.by_commweb("warm", made.worker(threads), 1, 3)
        bound(made, "warmb", 1, 1, 3)
        yield made
    finally:
        for worker in made.workers if made else ():
            worker.child.stop(12)
        server.stop()
        _close(app)
        shutil.rmtree(folder, ignore_errors=True)


def _site_config(folder: Path, secured: Secured | None) -> dict[str, str]:
    config = {"INSTANCE": str(folder), "COMMWEB_ALLOWED_PRIVATE_HOSTS": LOOPBACK}
    return config | ({"COMMWEB_CA_BUNDLE": str(secured.certificate)} if secured else {})


def _homeserver(folder: Path, secured: Secured | None, one_processor: bool) -> Homeserver:
    port = free_port() if secured else None
    return Homeserver(
        folder / "homeserver",
        install_synapse(say=print),
        port=port,
        refreshable_access_token_lifetime="1h",
        config=SYNAPSE | (secured.config(port) if secured and port else {}),
        one_processor=one_processor,
    )


def _prepared(server: Homeserver) -> str:
    """Lift the account's limits; a sign-in for the bare clients."""
    bot = quote(server.user_id("commweb"), safe="")
    limits = {"messages_per_second": 0, "burst_count": 0}
    server.admin("POST", f"/_synapse/admin/v1/users/{bot}/override_ratelimit", json=limits)
    return str(sign_in(server)["access_token"])


def _close(app: Flask) -> None:
    with app.app_context():
        db.session.remove()
        db.engine.dispose()
    state = app.extensions["commweb"]
    state.database.dispose()
    state.queue.close()
