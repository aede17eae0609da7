"""The course site signed in to a real Synapse, and everything it says while it is used."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests

from commweb.site import comm
from commweb.site.children import Child
from commweb.site.homeserver import Homeserver
from commweb.site.seed import seed
from tests.live.crew import wait_until
from tests.live.fault_proxy import Fault
from tests.live.known_tokens import KnownTokens, TellingProxy
from tests.unit.doors.planted import ADMIN_PASSWORD, PEOPLE_PASSWORD, files, response_places
from tests.unit.doors.table import GETS, MATRIX, POSTS
from tests.unit.doors.world import ROLES, World

ROOT = Path(__file__).resolve().parents[2]
SIGN_IN = next(row for row in POSTS if row.rule == f"{MATRIX}/sign-in")
SAVE = next(row for row in POSTS if row.rule == MATRIX)
COMMANDS = (
    ("check", "--json"),
    ("plan", "--json"),
    ("sync", "--json"),
    ("backfill", "--json"),
    ("backfill", "--dry-run", "--json"),
    ("rekey",),
)


@dataclass
class Used:
    """The site while it is used; ``told`` is where a token was found, by what was asked."""

    world: World
    server: Homeserver
    proxy: TellingProxy
    password: str = field(repr=False)
    told: dict[str, set[str]] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)

    @property
    def known(self) -> KnownTokens:
        return self.proxy.known

    def ask(self, role: str, method: str, path: str, data: Mapping[str, str] | None = None) -> int:
        """Ask as ``role``; look at once for every token known so far."""
        answer = self.world.ask(role, method, path, data)
        name = f"{role} {method} {path} {len(self.told)}"
        self.told[name] = self.known.found_in(*response_places(self.world.app, answer))
        self.statuses[name] = answer.status_code
        return answer.status_code

    def run(self, *command: str, typed: str = "") -> int:
        """A command of ``flask commweb``; its exit code."""
        runner = self.world.app.test_cli_runner()
        done = runner.invoke(args=["commweb", *command], input=typed)
        self.told[f"{' '.join(command)} {len(self.told)}"] = self.known.found_in(
            done.output, done.stderr, repr(done.exception)
        )
        return done.exit_code

    def column(self, query: str, *values: object) -> object:
        """The first column of the first row; None without one."""
        with closing(sqlite3.connect(self.world.database)) as connection:
            row = connection.execute(query, values).fetchone()
        return row[0] if row else None

    def generation(self) -> int:
        return int(str(self.column("SELECT generation FROM commweb_connection")))

    def stored(self) -> list[str]:
        """The tokens the site holds now, unsealed."""
        state = self.world.app.extensions["commweb"]
        with self.world.app.app_context():
            session = state.tokens(state.registry.get("matrix")).read()
        found = (session.pair.access, session.pair.refresh, session.previous)
        return [secret.reveal() for secret in found if secret]

    # What people do, in this order.

    def set_up(self) -> None:
        """People, and the admin's sign-in on the page."""
        seed(self.world.app, ADMIN_PASSWORD, PEOPLE_PASSWORD)
        for role in ROLES:
            self.world.login(role)
        with self.world.app.app_context():
            comm.set_enabled(True)
        assert self.sign_in() == 303
        assert self.ask("admin", "POST", f"{MATRIX}/lift-limits", {}) == 303

    def sign_in(self, **changed: str) -> int:
        fields = {"username": "admin", "password": self.password, **changed}
        return self.ask("admin", "POST", SIGN_IN.rule, {**SIGN_IN.fields(self.world), **fields})

    def new_course(self, short_name: str) -> int:
        """A course with a teacher, a student and a group, through its pages; its id."""
        typed = {"full_name": f"Course {short_name}", "short_name": short_name}
        self.ask("admin", "POST", "/courses/new", {**typed, "provider": "matrix"})
        found = self.column("SELECT id FROM course WHERE short_name = ?", short_name)
        course = int(str(found))
        for username, role in (("teacher1", "teacher"), ("student1", "student")):
            person = self.column("SELECT id FROM person WHERE username = ?", username)
            enrolled = {"person": str(person), "role": role}
            assert self.ask("admin", "POST", f"/courses/{course}/enrol", enrolled) == 303
        self.ask("admin", "POST", f"/courses/{course}/groups", {"group_name": "Blue"})
        return course

    def room_is(self, course: int, status: str) -> bool:
        query = "SELECT status FROM commweb_room WHERE course_id = ? AND synced_revision = revision"
        return self.column(query, str(course)) == status

    def visit(self, course: int, roles: Sequence[str] = ROLES) -> None:
        """Everybody of ``roles`` looks at every page."""
        group = self.column("SELECT id FROM course_group WHERE course_id = ?", course)
        person = self.column("SELECT id FROM person WHERE username = 'student1'")
        room = self.column("SELECT id FROM commweb_room WHERE course_id = ?", str(course))
        ids = {"course_id": course, "group_id": group, "person_id": person, "room_id": room}
        self.world.ids.update(ids, provider_id="matrix")
        for row in GETS:
            for role in roles:
                self.ask(role, "GET", row.address(self.world))

    def press(self, course: int) -> None:
        """The admin presses what can be pressed again and again."""
        room = self.world.ids["room_id"]
        for path in (
            f"{MATRIX}/test",
            f"/admin/communication/rooms/{room}/retry",
            "/admin/communication/rooms/backfill",
        ):
            assert self.ask("admin", "POST", path, {}) == 303
        again = {"room": str(room)}
        path = f"/courses/{course}/communication/members/again"
        assert self.ask("teacher", "POST", path, again) == 303

    def rotate(self, times: int) -> None:
        """Use the session until it was refreshed so often."""
        until = self.generation() + times

        def grown() -> bool:
            self.ask("admin", "POST", f"{MATRIX}/test", {})
            return self.generation() >= until

        wait_until("the tokens were refreshed", grown)

    def type_tokens(self) -> None:
        """Another sign-in's tokens typed into the form: with a mistake elsewhere, too late, with
        a mistake in themselves, and right."""
        mine = self.server.login("admin", self.password, refresh_token=True)
        self.known.add("access", mine["access_token"])
        self.known.add("refresh", mine["refresh_token"])
        tokens = {name: mine[name] for name in ("access_token", "refresh_token")}
        for wrong in (
            {"element_web_url": "nowhere"},
            {"version": "0"},
            {"access_token": " ".join(tokens.values())},
        ):
            assert self.save({**tokens, **wrong}) == 422
        before = self.generation()
        assert self.save(tokens) == 303
        assert self.generation() > before

    def save(self, typed: Mapping[str, str]) -> int:
        return self.ask("admin", "POST", MATRIX, {**SAVE.fields(self.world), **typed})

    def all_files(self) -> dict[str, set[str]]:
        """Where tokens stand in the files of the site."""
        return {name: self.known.found_in(data) for name, data in files(self.world.folder).items()}


def fail(used: Used) -> int:
    """A worker's call that breaks, a homeserver that repeats what it is sent, and none at all.
    Answers the course whose room is not made meanwhile."""
    breaks = ("500", "reset after the server did the work")
    used.proxy.script(*(Fault(kind, "PUT|POST .*/(join|members|state)") for kind in breaks))
    used.proxy.script(Fault("500", "createRoom"))
    course = used.new_course("LIVE2")
    wait_until("calls failed", lambda: bool(used.proxy.met()))
    used.proxy.repeating = True
    repeated(used)
    used.proxy.repeating = False
    used.proxy.down()
    repeated(used)
    used.proxy.up()
    used.proxy.heal()
    used.run("sync", "--json", str(course))
    return course


def repeated(used: Used) -> None:
    for path in ("test", "lift-limits"):
        used.ask("admin", "POST", f"{MATRIX}/{path}", {})
    assert used.sign_in() == 422
    for command in COMMANDS[:3]:
        used.run(*command)


def end_the_session(used: Used, course: int) -> None:
    """Somebody logs the account out everywhere."""
    mine = used.server.login("admin", used.password)["access_token"]
    url = f"{used.server.base_url}/_matrix/client/v3/logout/all"
    requests.post(url, headers={"Authorization": f"Bearer {mine}"}, json={}, timeout=30)
    query = "SELECT state FROM commweb_connection"

    def noticed() -> bool:
        used.ask("admin", "POST", f"{MATRIX}/test", {})
        return used.column(query) == "sign_in_needed"

    wait_until("the site noticed that the session has ended", noticed)
    used.run("check", "--json")
    used.visit(course, ("teacher", "admin"))


@contextmanager
def talkative_worker(folder: Path) -> Iterator[Child]:
    """A worker process that logs everything to ``worker.log`` beside the folder."""
    environment = {
        **os.environ,
        "INSTANCE": str(folder),
        "FLASK_COMMWEB_ALLOWED_PRIVATE_HOSTS": "127.0.0.0/8",
    }
    command = [sys.executable, "-m", "tests.talkative_worker"]
    child = Child(command, folder=ROOT, environment=environment, log=folder.parent / "worker.log")
    try:
        yield child
    finally:
        child.stop(15)
