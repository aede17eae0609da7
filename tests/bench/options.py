"""What to measure and how much of it, from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["PARTS", "Options", "options"]

PARTS = (
    "pairs", "naive", "naive_http", "shapes", "threads", "processors", "counts", "sweep",
)  # fmt: skip


@dataclass(frozen=True)
class Options:
    """``courses`` rooms of ``people`` fresh members are one fill."""

    pairs: int = 10
    rounds: int = 3
    courses: int = 10
    people: int = 30
    workers: int = 8
    big: int = 2000
    rooms: int = 10_000
    dirty: int = 1000
    only: tuple[str, ...] = PARTS


def options(environment: Mapping[str, str] = os.environ) -> Options:
    """BENCH_PAIRS, BENCH_ROUNDS (of the smaller comparisons), BENCH_COURSES, BENCH_PEOPLE,
    BENCH_WORKERS, BENCH_BIG, BENCH_ROOMS, BENCH_DIRTY; BENCH_ONLY=part,part.

    Raises `SystemExit` with a sentence for a value that cannot be understood.
    """
    values: dict[str, int] = {}
    for name in ("pairs", "rounds", "courses", "people", "workers", "big", "rooms", "dirty"):
        given = environment.get(f"BENCH_{name.upper()}")
        if given is not None:
            if not given.isdigit() or int(given) < 1:
                raise SystemExit(f"BENCH_{name.upper()} takes a number from 1 on, not {given!r}.")
            values[name] = int(given)
    only = tuple(part for part in environment.get("BENCH_ONLY", "").split(",") if part) or PARTS
    unknown = sorted(set(only) - set(PARTS))
    if unknown:
        raise SystemExit(f"BENCH_ONLY takes {', '.join(PARTS)}, not {', '.join(unknown)}.")
    return Options(**values, only=only)
