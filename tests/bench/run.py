"""``make bench``: how fast rooms are filled, against what the homeserver can do at all.

Everything runs on fresh Synapse servers on loopback. See `tests.bench.options` for what the
environment can choose.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench import report
from tests.bench.counts import counts
from tests.bench.fills import (
    naive_over_http,
    naive_pairs,
    pairs,
    processors,
    shapes,
    threads,
)
from tests.bench.measure import machine
from tests.bench.options import PARTS, Options, options
from tests.bench.sweep import sweep
from tests.bench.world import synapse_version

ROOT = Path(__file__).resolve().parents[2]
MEASURE: dict[str, Callable[[Options], dict[str, Any]]] = {
    "pairs": pairs,
    "naive": naive_pairs,
    "naive_http": naive_over_http,
    "shapes": shapes,
    "threads": threads,
    "processors": processors,
    "counts": counts,
    "sweep": sweep,
}
WORDS = {
    "pairs": "commweb against the bare client",
    "naive": "commweb against the naive pattern",
    "naive_http": "the same without TLS",
    "shapes": "commweb against other ways",
    "threads": "how many worker threads",
    "processors": "Synapse on one processor and on all",
    "counts": "how many requests",
    "sweep": "rooms at rest, rooms that are due",
}


def main() -> None:
    chosen = options()
    found: dict[str, Any] = {}
    for part in PARTS:
        if part in chosen.only:
            started = time.monotonic()
            print(f"{part}: {WORDS[part]} ...", flush=True)
            found[part] = MEASURE[part](chosen)
            print(f"   ({time.monotonic() - started:.0f} s)", flush=True)
    facts = machine(synapse_version())
    report.show(found, facts)
    path = ROOT / "instance" / "bench.json"
    report.write(path, found, facts)
    print(f"\nWritten to {path.relative_to(ROOT)}.")


if __name__ == "__main__":
    main()
