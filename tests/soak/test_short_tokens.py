"""The site runs for a long time with short tokens while courses come and go."""

from __future__ import annotations

import os
import time
from pathlib import Path

from commweb.site import comm
from tests.soak.world import world

MINUTES = float(os.environ.get("SOAK_MINUTES", "20"))
COURSES = 20


def test_nothing_is_lost_with_thirty_second_tokens(tmp_path: Path) -> None:
    with world(tmp_path, lifetime="30s", workers=2, seed=20) as soak:
        soak.people(30)
        ends = time.monotonic() + MINUTES * 60
        changes = 0
        while time.monotonic() < ends:
            if soak.course_count() < COURSES:
                soak.new_course()
            else:
                soak.one_change()
            changes += 1
            time.sleep(soak.random.uniform(0.2, 1.5))
        quiet, differences = soak.wait_until_equal(300)
        with soak.app.app_context():
            state = comm.connection_state("matrix")
        print(f"{changes} changes, {soak.made} courses made, quiet after {quiet:.1f} s")
        assert (differences, state) == ([], "ok")
