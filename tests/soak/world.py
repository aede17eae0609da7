"""A course site with worker processes and a real Synapse, and a crowd that keeps changing it."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import delete, func, select, update

from app import create_app
from commweb.accounts import link
from commweb.models import Connection, RoomRow, now
from commweb.site import comm, db
from commweb.site.children import Child, watched_module
from commweb.site.homeserver import Homeserver, install_synapse
from commweb.site.homeserver_setup import connect
from commweb.site.models import Course, Enrolment, Role, User
from commweb.site.seed import prepare
from commweb.state import state_of
from commweb.sync.confirming import confirm_courses
from tests.live.fault_proxy import FaultProxy
from tests.reconnecting import reconnect
from tests.soak.comparison import FAR, differences
from tests.waiting import waiting

ROOT = Path(__file__).resolve().parents[2]
LOCAL = select(User.id).where(User.username.not_like(f"{FAR}%"))
WORKER = ("flask", "--app", "app", "commweb", "worker")
LOOPBACK_ONLY = {"COMMWEB_ALLOWED_PRIVATE_HOSTS": "127.0.0.0/8"}


@dataclass
class World:
    """What a soak drives."""

    folder: Path
    app: Flask
    homeserver: Homeserver
    random: random.Random
    proxy: FaultProxy
    workers: list[Child] = field(default_factory=list)
    made: int = 0
    far: int = 0
    confirmed: int = 0

    def start_worker(self, module: Sequence[str] = WORKER) -> Child:
        environment = {
            **os.environ,
            "INSTANCE": str(self.folder),
            "FLASK_COMMWEB_ALLOWED_PRIVATE_HOSTS": "127.0.0.0/8",
            "FLASK_SQLALCHEMY_DATABASE_URI": self.app.config["SQLALCHEMY_DATABASE_URI"],
        }
        child = Child(
            watched_module(*module),
            folder=ROOT,
            environment=environment,
            log=self.folder / "worker.log",
        )
        self.workers.append(child)
        return child

    def kill(self, child: Child) -> None:
        """SIGKILL, as when memory runs out."""
        child.kill()
        self.workers.remove(child)

    def pause(self, child: Child) -> None:
        """SIGSTOP, as when a machine is suspended."""
        os.kill(child.pid, signal.SIGSTOP)

    def go_on(self, child: Child) -> None:
        os.kill(child.pid, signal.SIGCONT)

    def freeze_homeserver(self) -> None:
        """It takes what it is sent and answers nothing."""
        assert self.homeserver.pid is not None
        os.kill(self.homeserver.pid, signal.SIGSTOP)

    def thaw_homeserver(self) -> None:
        assert self.homeserver.pid is not None
        os.kill(self.homeserver.pid, signal.SIGCONT)

    def leases(self) -> set[str]:
        """The leases workers have on rooms, or had when they were killed."""
        with self.app.app_context():
            held = select(RoomRow.lease).where(RoomRow.lease.is_not(None))
            return set(db.session.scalars(held))

    def a_minute_passes(self) -> None:
        """What waiting for a killed worker's leases, and for late answers, comes to. The soak does
        wait."""
        past = now() - timedelta(seconds=1)
        with state_of(self.app).database.write() as connection:
            late = update(RoomRow).where(RoomRow.unsure_until.is_not(None))
            connection.execute(late.values(unsure_until=past, next_attempt_at=past))
            for model in (RoomRow, Connection):
                held = update(model).where(model.lease.is_not(None))
                connection.execute(held.values(lease_until=past))

    def people(self, count: int, prefix: str = "person") -> list[int]:
        """New people; their ids."""
        with self.app.app_context():
            users = [User(f"{prefix}{n}", f"{prefix.title()} {n}") for n in range(count)]
            db.session.add_all(users)
            db.session.commit()
            return [user.id for user in users]

    def new_course(self, users: list[int] | None = None) -> str:
        """A course of these people, of whom the first teaches, or of six of all; its name."""
        self.made += 1
        name = f"Course {self.made}"
        with self.app.app_context():
            course = Course(full_name=name, short_name=f"C{self.made}")
            db.session.add(course)
            db.session.flush()
            if users is None:
                users = self.random.sample(list(db.session.scalars(LOCAL)), 6)
            for place, user in enumerate(users):
                role = Role.TEACHER if place == 0 else Role.STUDENT
                db.session.add(Enrolment(course_id=course.id, user_id=user, role=role))
            comm.course_created(str(course.id), provider="matrix")
            self._nobody_is_alone()
            db.session.commit()
        return name

    def far_people(self, count: int) -> None:
        """Some courses get people whose accounts are on a homeserver that does not answer."""
        with self.app.app_context():
            for course_id in list(db.session.scalars(select(Course.id).limit(count))):
                self.far += 1
                user = User(f"{FAR}{self.far}", f"Far {self.far}")
                db.session.add(user)
                db.session.commit()  # the account is linked before anybody hears of the person
                remote = f"@{user.username}:dead.example"
                with state_of(self.app).database.write() as connection:
                    assert link(connection, "matrix", str(user.id), remote, server="localhost")
                role = Role.STUDENT
                db.session.add(Enrolment(course_id=course_id, user_id=user.id, role=role))
                comm.course_changed(str(course_id))
                db.session.commit()

    def far_people_go(self) -> None:
        """They leave the site again."""
        with self.app.app_context():
            for user in db.session.scalars(select(User).where(User.username.startswith(FAR))):
                for enrolment in user.enrolments:
                    comm.course_changed(str(enrolment.course_id))
                comm.person_deleted(str(user.id))
                db.session.delete(user)
            db.session.commit()

    def unenrol(self, course: str, usernames: Sequence[str]) -> None:
        """These people go from the course."""
        with self.app.app_context():
            found = db.session.scalars(select(Course).where(Course.full_name == course)).one()
            people = select(User.id).where(User.username.in_(usernames))
            theirs = (Enrolment.course_id == found.id, Enrolment.user_id.in_(people))
            db.session.execute(delete(Enrolment).where(*theirs))
            comm.course_changed(str(found.id))
            db.session.commit()

    def unenrol_somebody(self, course: str) -> str:
        """A student of the course goes; the user name."""
        with self.app.app_context():
            found = select(Enrolment).join(Course).where(Course.full_name == course)
            gone = db.session.scalars(found.where(Enrolment.role == Role.STUDENT)).all()[-1]
            username = gone.user.username
            comm.course_changed(str(gone.course_id))
            db.session.delete(gone)
            db.session.commit()
            return username

    def enrol_new_person(self, course: str, username: str) -> str:
        """Somebody who has no account yet comes into the course as its last student; the user
        name."""
        self.enrol_new_people(course, [username])
        return username

    def enrol_new_people(self, course: str, usernames: Sequence[str]) -> None:
        """The same for several, who come at once."""
        with self.app.app_context():
            found = db.session.scalars(select(Course).where(Course.full_name == course)).one()
            for username in usernames:
                user = User(username, username.title())
                db.session.add(user)
                db.session.flush()
                role = Role.STUDENT
                db.session.add(Enrolment(course_id=found.id, user_id=user.id, role=role))
            comm.course_changed(str(found.id))
            db.session.commit()

    def one_change(self, *, deletions: bool = True) -> None:
        """One random change of a course or a person, as the site would make it."""
        changes: list[Callable[[Course], None]] = [
            self._rename, self._enrol, self._enrol, self._unenrol, self._swap_role, self._suspend,
        ]  # fmt: skip
        with self.app.app_context():
            course = self._some_course()
            if course is None:
                return
            if deletions and self.random.random() < 0.04:
                comm.course_deleted(str(course.id))
                db.session.delete(course)
            else:
                self.random.choice(changes)(course)
                comm.course_changed(str(course.id))
            self._nobody_is_alone()
            db.session.commit()

    def _nobody_is_alone(self) -> None:
        """A course that reads as empty is held until somebody confirms, which is right and no
        difference to look for; so somebody is always there."""
        db.session.flush()
        db.session.expire_all()
        for course in db.session.scalars(select(Course)):
            users = [enrolment.user for enrolment in course.enrolments]
            if users and not any(user.active for user in users):
                users[0].active = True
                comm.person_changed(str(users[0].id))

    def _some_course(self) -> Course | None:
        ids = list(db.session.scalars(select(Course.id)))
        return db.session.get(Course, self.random.choice(ids)) if ids else None

    def _rename(self, course: Course) -> None:
        course.full_name = f"{course.short_name} renamed {self.random.randrange(10**6)}"

    def _enrol(self, course: Course) -> None:
        inside = {enrolment.user_id for enrolment in course.enrolments}
        outside = [user for user in db.session.scalars(LOCAL) if user not in inside]
        if outside and len(inside) < 9:
            user = self.random.choice(outside)
            db.session.add(Enrolment(course_id=course.id, user_id=user, role=Role.STUDENT))

    def _unenrol(self, course: Course) -> None:
        if len(course.enrolments) > 3:
            gone = self.random.choice(course.enrolments)
            db.session.execute(delete(Enrolment).where(Enrolment.id == gone.id))

    def _swap_role(self, course: Course) -> None:
        if course.enrolments:
            one = self.random.choice(course.enrolments)
            one.role = Role.STUDENT if one.role is Role.TEACHER else Role.TEACHER

    def _suspend(self, course: Course) -> None:
        local = select(User).where(User.id.in_(LOCAL))
        user = self.random.choice(list(db.session.scalars(local)))
        user.active = not user.active or bool(self.random.random() < 0.3)
        comm.person_changed(str(user.id))

    def course_count(self) -> int:
        with self.app.app_context():
            return int(db.session.scalar(select(func.count()).select_from(Course)) or 0)

    def session_state(self) -> str | None:
        """How the stored session is."""
        with self.app.app_context():
            return comm.connection_state("matrix")

    def wait_until_quiet(self, seconds: float, *, last_looks: bool = True) -> float:
        """Until nothing is reported and nothing is due; how long it took. Raises after that.

        Without ``last_looks`` rooms that are done, and are looked at once more a minute after an
        answer stayed out, are not waited for.
        """
        started = time.monotonic()
        left = -1
        while time.monotonic() - started < seconds:
            with self.app.app_context():
                left = waiting(db.session(), last_looks=last_looks)
            if left == 0:
                return time.monotonic() - started
            time.sleep(0.25)
        raise AssertionError(f"{left} changes and rooms are still waiting after {seconds:.0f} s.")

    def wait_until_equal(self, seconds: float) -> tuple[float, list[str]]:
        """Until rooms and courses do not differ: how long it took, and the differences that are
        left after all that could happen has happened."""
        started = time.monotonic()
        self.wait_until_quiet(seconds, last_looks=False)
        if self.confirm_held():
            self.wait_until_quiet(seconds, last_looks=False)
        differences = self.differences()
        if differences:
            self.confirm_held()
            self.wait_until_quiet(seconds)
            differences = self.differences()
        return time.monotonic() - started, differences

    def confirm_held(self) -> int:
        """A course that exchanged most of its people within a day waits for an administrator, who
        confirms it; how many rooms that were. Rooms that wait for anything else are differences."""
        with self.app.app_context():
            people = (RoomRow.status == "held", RoomRow.held_kind == "removals")
            held = list(db.session.scalars(select(RoomRow.course_id).where(*people)))
            with state_of(self.app).database.write() as connection:
                confirm_courses(connection, held)
            for course_id in held:
                comm.course_changed(course_id)
            db.session.commit()
        self.confirmed += len(held)
        return len(held)

    def differences(self) -> list[str]:
        """Where rooms and courses differ."""
        with self.app.app_context():
            return differences(db.session(), self.homeserver)


@contextmanager
def world(
    folder: Path,
    *,
    lifetime: str,
    workers: int,
    seed: int,
    lift_limits: bool = True,
    federate: bool = False,
    **config: Any,
) -> Iterator[World]:
    """A connected site in ``folder``, whose homeserver is behind a fault proxy; with
    ``lift_limits`` its account is free of Synapse's default rate limits. Everything is stopped
    at the end."""
    app = create_app({"INSTANCE": str(folder), **LOOPBACK_ONLY, **config})
    server = Homeserver(
        folder / "homeserver",
        install_synapse(say=print),
        refreshable_access_token_lifetime=lifetime,
        config={"bcrypt_rounds": 4},
    )
    server.start()
    with FaultProxy.before(server.base_url) as proxy:
        made = World(folder, app, server, random.Random(seed), proxy)
        try:
            prepare(app)
            connect(app, server, folder)
            reconnect(app, server, proxy.url)
            if federate:
                with app.app_context():
                    comm.configure("matrix", {"federate": True})
            if lift_limits:
                bot = server.user_id("commweb").replace("@", "%40").replace(":", "%3A")
                server.admin(
                    "POST",
                    f"/_synapse/admin/v1/users/{bot}/override_ratelimit",
                    json={"messages_per_second": 0, "burst_count": 0},
                )
            for _number in range(workers):
                made.start_worker()
            yield made
        finally:
            for child in made.workers:
                child.stop(12)
            server.stop()
            with app.app_context():
                db.session.remove()
                db.engine.dispose()
            state_of(app).database.dispose()
            state_of(app).queue.close()
