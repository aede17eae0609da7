"""Child processes that never outlive the program that started them.

A child gets a session of its own, so that Ctrl-C reaches only the parent, which then stops its
children in the right order. The parent holds the write end of a pipe that is the child's standard
input: when the parent is gone, however it went, the child reads the end of the pipe and stops.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["Child", "watched_module"]

# Runs in the child before the module. SIGTERM first, so that work in hand is finished; a child
# that does not listen is ended all the same.
_WATCH = """
import os, runpy, signal, sys, threading, time
def watch():
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(15)
    os._exit(1)
threading.Thread(target=watch, daemon=True).start()
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def watched_module(module: str, *arguments: str, python: str | Path = sys.executable) -> list[str]:
    """The command that runs ``python -m module arguments`` and ends with its parent."""
    return [str(python), "-c", _WATCH, module, *arguments]


class Child:
    """One running child process; ``command`` comes from `watched_module`.

    ``log``: a file that output is appended to; None passes it through to our own output.
    ``pass_fds``: open file descriptors the child keeps for as long as it lives.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        log: Path | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if log else None
        try:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=dict(environment) if environment is not None else None,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT if output is not None else None,
                start_new_session=True,
                umask=0o077,  # what it writes is nobody else's
                pass_fds=tuple(pass_fds),
            )
        finally:
            if output is not None:
                os.close(output)

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.poll()

    def ask_to_stop(self) -> None:
        """Send SIGTERM and return at once."""
        if self.exit_code() is None:
            self._process.terminate()

    def wait(self, until: float) -> int:
        """Wait until ``until`` (of `time.monotonic`), then kill; answer the exit code."""
        try:
            self._process.wait(timeout=max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
        return self._reap()

    def stop(self, within_seconds: float) -> int:
        """SIGTERM, and SIGKILL when it still runs after ``within_seconds``."""
        self.ask_to_stop()
        return self.wait(time.monotonic() + within_seconds)

    def kill(self) -> int:
        """SIGKILL, as a crash would: nothing is finished or tidied up."""
        if self.exit_code() is None:
            self._process.kill()
        return self._reap()

    def _reap(self) -> int:
        code = self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        return code
