"""The engine of commweb's own transactions."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from tests.sites import site

THREADS = 24


def test_a_worker_has_a_connection_for_each_of_its_threads(tmp_path: Path) -> None:
    with site(tmp_path) as made, ExitStack() as threads:
        database = made.state.database
        database.expect(THREADS)
        for _thread in range(THREADS):
            threads.enter_context(database.read())
