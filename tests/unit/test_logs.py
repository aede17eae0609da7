"""The lines of a worker tell when."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

SAYS = """
import logging
{before}
from commweb.logs import log_with_time
log_with_time()
logging.getLogger("commweb.sync.worker").warning("The work is put off.")
"""


def said(before: str = "") -> list[str]:
    """What a fresh process writes to standard error."""
    done = subprocess.run(
        [sys.executable, "-c", SAYS.format(before=before)],
        capture_output=True,
        text=True,
        check=True,
        env={"TZ": "America/New_York"},
    )
    return done.stderr.splitlines()


def test_a_line_begins_with_the_time_in_utc() -> None:
    (line,) = said()
    time, _space, rest = line.partition(" ")
    assert rest == "WARNING commweb.sync.worker: The work is put off."
    when = datetime.fromisoformat(time)
    assert when.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - when) < timedelta(hours=1)


def test_a_site_with_logging_of_its_own_keeps_it() -> None:
    assert said("logging.basicConfig(format='mine: %(message)s')") == ["mine: The work is put off."]
