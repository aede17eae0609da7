"""``flask commweb worker`` with a lease of seconds instead of a minute, so that a test can wait
until it is over. Run as ``python -m tests.live.short_lease``, in the environment of a worker."""

from __future__ import annotations

import sys
from functools import partial

from flask.cli import main

from commweb.sync import leases, records, worker

__all__ = ["SECONDS"]

SECONDS = 8


def shorten() -> None:
    """Every lease of this process, where it is claimed, extended and believed."""
    records.LEASE_SECONDS = SECONDS
    worker.Lease = partial(leases.Lease, seconds=SECONDS)  # type: ignore[assignment, misc]


if __name__ == "__main__":
    shorten()
    sys.argv = ["flask", "--app", "app", "commweb", "worker"]
    main()
