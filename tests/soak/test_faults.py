"""Long runs with faults: random changes, random faults, kills, Synapse's own rate limits.

``SOAK_MINUTES`` is how long the random faults last (30). What was seen goes to
``instance/soak.json``.
"""

from __future__ import annotations

import json
import os
import platform
import random
import sqlite3
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from commweb.site import db
from tests.live.crew import wait_until
from tests.live.fault_proxy import Fault
from tests.live.fault_relay import REFUSALS
from tests.soak.world import ROOT, World, world

MINUTES = float(os.environ.get("SOAK_MINUTES", "30"))
COURSES = int(os.environ.get("SOAK_COURSES", "50"))
KILLS = int(os.environ.get("SOAK_KILLS", "50"))
STANDS_STILL = 130.0
"""Seconds: longer than a lease and than any request is waited for."""
BEYOND_THE_LIMIT = 13
"""Synapse lets an account make ten rooms at once, and then one a minute."""
REPORT = ROOT / "instance" / "soak.json"
QUICK = (
    "reset before the server did the work",
    "reset after the server did the work",
    "cut in the middle of the body",
    "500",
    "500 after the server did the work",
    "502 with a page",
    "a page instead of JSON",
    "garbage instead of JSON",
    "429",
    "delay",
)
SLOW = ("slow first byte", "dripping body", "never-ending body")


def tell(part: str, **found: Any) -> None:
    """Add what a test saw to the report, and say it."""
    REPORT.parent.mkdir(exist_ok=True)
    try:
        report = json.loads(REPORT.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        report = {}
    report[part] = found
    parts = [value for value in report.values() if isinstance(value, dict)]
    report["differences"] = sum(len(value.get("differences", ())) for value in parts)
    report["machine"] = f"{os.cpu_count()} cores, {platform.machine()}, {platform.python_version()}"
    REPORT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(part, json.dumps(found))


def spread(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        "median": round(statistics.median(ordered), 1),
        "nine_of_ten": round(ordered[int(len(ordered) * 0.9)], 1),
        "longest": round(ordered[-1], 1),
    }


def test_fifty_killed_workers_lose_nothing(tmp_path: Path) -> None:
    with world(tmp_path, lifetime="1m", workers=0, seed=50) as soak:
        soak.people(30)
        in_the_middle = 0
        for _number in range(5):
            soak.new_course()
        for _number in range(KILLS):
            if soak.course_count() < 20:
                soak.new_course()
            for _change in range(5):
                soak.one_change()
            before = soak.leases()
            child = soak.start_worker()
            some_requests(soak, soak.random.randint(1, 15), 20)
            soak.kill(child)
            in_the_middle += bool(soak.leases() - before)
        soak.start_worker()
        quiet, differences = soak.wait_until_equal(400)
        state = soak.session_state()
        tell(
            "kills",
            kills=KILLS,
            in_the_middle_of_a_room=in_the_middle,
            differences=differences,
            session=state,
            seconds_to_all_equal=round(quiet, 1),
        )
        assert (differences, state) == ([], "ok")
        assert in_the_middle > KILLS / 2


def some_requests(soak: World, count: int, seconds: float) -> None:
    """Until the homeserver was asked so often, or nothing more happened for long."""
    stop_at, ends = soak.proxy.count() + count, time.monotonic() + seconds
    wait_until(
        "it was asked, or the time is over",
        lambda: soak.proxy.count() >= stop_at or time.monotonic() > ends,
    )


def test_synapses_own_rate_limits_are_waited_for(tmp_path: Path) -> None:
    with world(tmp_path, lifetime="5m", workers=2, seed=429, lift_limits=False) as soak:
        soak.people(20)
        for _number in range(BEYOND_THE_LIMIT):
            soak.new_course()
        made = soak.wait_until_quiet(900)
        for _number in range(15):
            soak.one_change(deletions=False)
        changed, differences = soak.wait_until_equal(900)
        limited = soak.proxy.statuses().get(429, 0)
        tell(
            "limits",
            courses=BEYOND_THE_LIMIT,
            differences=differences,
            session=soak.session_state(),
            answers_429=limited,
            requests=soak.proxy.count(),
            seconds_for_the_rooms=round(made, 1),
            seconds_for_the_changes=round(changed, 1),
        )
        assert (differences, soak.session_state()) == ([], "ok")
        assert limited > 0


@dataclass
class Storm:
    """Random faults while random changes go on; after each, how long it took to be equal."""

    soak: World
    random: random.Random
    met: Counter[str] = field(default_factory=Counter)
    rounds: list[tuple[str, float]] = field(default_factory=list)
    changes: int = 0

    def round(self) -> list[str]:
        """One fault from beginning to end; where rooms and courses differ after it. The long ones
        come first, so that each is met however short the storm is."""
        long = (
            self.admin_api_refused,
            self.server_stands_still,
            self.dead_homeserver,
            self.worker_suspended,
        )
        faults: list[Callable[[], None]] = [
            *[self.quick] * 8,
            *[self.server_down] * 2,
            self.server_killed,
            self.slow,
            self.worker_killed,
            self.queue_deleted,
            self.database_locked,
            self.random.choice(long),
        ]
        fault = self.random.choice(faults)
        if len(self.rounds) < len(long):
            fault = long[len(self.rounds)]
        fault()
        self.met[fault.__name__] += 1
        self.soak.proxy.heal()
        took, differences = self.soak.wait_until_equal(400)
        self.rounds.append((fault.__name__, round(took, 1)))
        return differences

    def keep_changing(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            if self.soak.course_count() < COURSES and self.random.random() < 0.5:
                self.soak.new_course()
            else:
                self.soak.one_change()
            self.changes += 1
            threading.Event().wait(self.random.uniform(0.1, 0.6))

    def quick(self) -> None:
        for _number in range(self.random.randint(1, 3)):
            kind = self.random.choice(QUICK)
            times = self.random.randint(1, 25)
            self.soak.proxy.script(Fault(kind, "", times, seconds=self.random.uniform(0.2, 3)))
            self.met[kind] += 1
        self.keep_changing(self.random.uniform(3, 12))

    def slow(self) -> None:
        kind = self.random.choice(SLOW)
        self.soak.proxy.script(Fault(kind, "", self.random.randint(1, 3), seconds=3600))
        self.met[kind] += 1
        self.keep_changing(self.random.uniform(5, 15))

    def server_down(self) -> None:
        self.soak.proxy.down()
        self.keep_changing(self.random.uniform(2, 20))
        self.soak.proxy.up()

    def server_killed(self) -> None:
        self.soak.new_course()
        some_requests(self.soak, self.random.randint(1, 10), 10)
        self.soak.homeserver.kill()
        self.keep_changing(self.random.uniform(1, 5))
        self.soak.homeserver.start()

    def worker_killed(self) -> None:
        self.keep_changing(self.random.uniform(1, 4))
        self.soak.kill(self.random.choice(self.soak.workers))
        self.keep_changing(self.random.uniform(1, 4))
        self.soak.start_worker()

    def worker_suspended(self) -> None:
        """Past its lease, while the other one works."""
        self.keep_changing(self.random.uniform(1, 4))
        worker = self.random.choice(self.soak.workers)
        self.soak.pause(worker)
        try:
            self.keep_changing(self.random.uniform(70, 125))
        finally:
            self.soak.go_on(worker)

    def queue_deleted(self) -> None:
        for file in self.soak.folder.glob("commweb-queue.db*"):
            file.unlink(missing_ok=True)
        self.keep_changing(3)

    def database_locked(self) -> None:
        self.keep_changing(2)
        with self.soak.app.app_context():
            path = str(db.engine.url.database)
        with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            threading.Event().wait(self.random.uniform(2, 12))
            other.execute("ROLLBACK")

    def admin_api_refused(self) -> None:
        """For minutes something in front of the homeserver does not pass the administration API
        on, and says so in one way after the other."""
        for kind in REFUSALS:
            self.soak.proxy.heal()
            self.soak.proxy.script(Fault(kind, "/_synapse/admin", 10**9))
            self.met[kind] += 1
            self.keep_changing(self.random.uniform(20, 40))

    def server_stands_still(self) -> None:
        some_requests(self.soak, 3, 10)
        self.soak.freeze_homeserver()
        try:
            self.keep_changing(STANDS_STILL)
        finally:
            self.soak.thaw_homeserver()

    def dead_homeserver(self) -> None:
        """Another homeserver, where some people have their accounts, does not answer."""
        dead = Fault("502 with JSON", "POST .*/invite$", 10**9)
        self.soak.proxy.script(dead)
        self.soak.far_people(5)
        self.keep_changing(self.random.uniform(10, 30))
        self.soak.far_people_go()
        self.soak.wait_until_quiet(400, last_looks=False)
        self.met["invitations refused"] += 10**9 - dead.times


def test_half_an_hour_of_random_changes_and_faults(tmp_path: Path) -> None:
    seed = int(os.environ.get("SOAK_SEED", "30"))
    with world(tmp_path, lifetime="1m", workers=2, seed=seed, federate=True) as soak:
        soak.people(40)
        for _number in range(COURSES):
            soak.new_course()
        soak.wait_until_quiet(300)
        storm = Storm(soak, random.Random(seed))
        ends = time.monotonic() + MINUTES * 60
        differences: list[str] = []
        while time.monotonic() < ends and not differences:
            differences = storm.round()
        if not differences:
            soak.wait_until_quiet(400)  # the last looks as well
            _took, differences = soak.wait_until_equal(400)
        tell(
            "faults",
            minutes=MINUTES,
            courses=COURSES,
            differences=differences,
            session=soak.session_state(),
            changes=storm.changes,
            requests=soak.proxy.count(),
            faults=dict(storm.met),
            faulty_answers=len(soak.proxy.met()),
            rooms_that_an_administrator_confirmed=soak.confirmed,
            seconds_from_fault_over_to_all_equal=spread([took for _name, took in storm.rounds]),
            rounds=storm.rounds,
        )
        assert (differences, soak.session_state()) == ([], "ok")
