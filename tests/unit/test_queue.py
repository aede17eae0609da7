"""The queue is a hint: it may vanish, be replaced or be damaged at any moment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from commweb.errors import MisuseError
from commweb.queue import Queue, make_queue


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[tuple[Queue, Queue]]:
    """The queue as a page has it and as a worker has it, on one file."""
    page, worker = (make_queue(None, str(tmp_path), "a secret") for _number in range(2))
    yield page, worker
    page.close()
    worker.close()


def woken(worker: Queue) -> int:
    """How many wake-ups have come."""
    came: list[None] = []
    worker.on_work(lambda: came.append(None))
    while (task := worker.huey.dequeue()) is not None:
        worker.huey.execute(task)
    return len(came)


def delete(folder: Path, pattern: str) -> None:
    for file in folder.glob(pattern):
        file.unlink()


def test_a_wake_up_reaches_the_worker(ends: tuple[Queue, Queue]) -> None:
    page, worker = ends
    page.wake()
    page.wake(2)
    assert woken(worker) == 3


@pytest.mark.parametrize("pattern", ["commweb-queue.db*", "commweb-queue.db"])
def test_wake_ups_still_come_after_the_file_was_deleted(
    ends: tuple[Queue, Queue], tmp_path: Path, pattern: str
) -> None:
    page, worker = ends
    page.wake()
    assert woken(worker) == 1
    delete(tmp_path, pattern)
    page.wake()
    assert woken(worker) == 1
    delete(tmp_path, pattern)
    assert woken(worker) == 0
    page.wake()
    assert woken(worker) == 1


def test_a_damaged_file_disturbs_no_commit(ends: tuple[Queue, Queue], tmp_path: Path) -> None:
    page, _worker = ends
    page.wake()
    delete(tmp_path, "commweb-queue.db*")
    damaged = tmp_path / "commweb-queue.db"
    damaged.write_bytes(b"This is no database." * 500)
    page.wake()
    damaged.unlink()
    page.wake()
    assert damaged.read_bytes().startswith(b"SQLite format 3")


def test_a_folder_that_cannot_be_written_to_disturbs_no_commit(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    queue = make_queue(None, str(blocked / "instance"), "a secret")
    queue.wake()


def test_an_inline_queue_sends_nothing() -> None:
    queue = make_queue("inline", "/nowhere", "a secret")
    queue.wake()
    assert queue.inline
    assert queue.huey is None


def test_an_address_that_is_not_understood_is_refused() -> None:
    with pytest.raises(MisuseError, match="COMMWEB_QUEUE_URL"):
        make_queue("carrier-pigeon://loft", "/nowhere", "a secret")
