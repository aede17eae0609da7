"""The queue is a hint: it may vanish, be replaced or be damaged at any moment."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import commweb.queue
from commweb.errors import MisuseError
from commweb.queue import Queue, make_queue


def a_queue(folder: Path, url: str | None = None, instance: str = "default") -> Queue:
    return make_queue(url, str(folder), "a secret", instance=instance)


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[tuple[Queue, Queue]]:
    """The queue as a page has it and as a worker has it, on one file."""
    page, worker = (a_queue(tmp_path) for _number in range(2))
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


@pytest.mark.parametrize("named", [False, True])
def test_two_sites_on_one_file_take_their_own_wake_ups_only(tmp_path: Path, named: bool) -> None:
    url = f"sqlite:///{tmp_path / 'wake-ups.db'}" if named else None
    with (
        closing(a_queue(tmp_path, url, "summer")) as summer,
        closing(a_queue(tmp_path, url, "winter")) as winter,
        closing(a_queue(tmp_path, url, "winter")) as winters_page,
    ):
        winters_page.wake(2)
        assert woken(summer) == 0
        assert woken(winter) == 2


def test_names_that_differ_in_a_sign_only_are_two_queues(tmp_path: Path) -> None:
    with (
        closing(a_queue(tmp_path, None, "a-b")) as one,
        closing(a_queue(tmp_path, None, "ab")) as two,
    ):
        assert one.huey.name != two.huey.name
        assert one.huey.name.isalnum()  # Redis' queues leave out whatever else there is


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
    queue = a_queue(blocked / "instance")
    queue.wake()


def test_an_inline_queue_sends_nothing() -> None:
    queue = a_queue(Path("/nowhere"), "inline")
    queue.wake()
    assert queue.inline
    assert queue.huey is None


def test_an_address_that_is_not_understood_is_refused() -> None:
    with pytest.raises(MisuseError, match="COMMWEB_QUEUE_URL"):
        a_queue(Path("/nowhere"), "carrier-pigeon://loft")


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a Redis that takes every connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


@pytest.mark.local_server
def test_a_silent_redis_holds_a_commit_for_a_third_of_a_second_and_the_next_not_at_all(
    tmp_path: Path, silent: str, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(a_queue(tmp_path, silent)) as queue:
        taken = []
        for _commit in range(3):
            began = time.monotonic()
            queue.wake(4)
            taken.append(time.monotonic() - began)
    assert taken[0] < 0.6
    assert max(taken[1:]) < 0.05
    assert caplog.text.count("could not be woken (TimeoutError)") == 1


@pytest.mark.local_server
def test_a_redis_that_is_slow_once_is_asked_again_later(
    tmp_path: Path, silent: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commweb.queue, "PAUSE_SECONDS", 0.1)
    with closing(a_queue(tmp_path, silent)) as queue:
        queue.wake()
        time.sleep(0.15)
        queue.wake()
    assert caplog.text.count("could not be woken") == 2
