"""The table that is printed, and ``instance/bench.json``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["show", "summary", "write"]

WITH_MEDIANS = ("pairs", "naive", "naive_http", "shapes")
GOALS = {
    "commweb_over_bound": ">= 0.95",
    "commweb_over_naive": ">= 1.5",
    "requests_per_fresh_membership": "<= 3.1",
    "requests_per_known_membership": "<= 1.1",
    "requests_unchanged_room": "<= 3",
    "requests_one_change_in_2000": "<= 5",
    "cpu_over_bare_client": "<= 2",
}


def summary(found: dict[str, Any]) -> dict[str, Any]:
    """The figures by their names; a part that was not measured has none."""
    figures: dict[str, Any] = {}
    if "pairs" in found:
        part = found["pairs"]
        against, itself = part["commweb_over_bound"], part["bound_over_itself"]
        figures |= {
            "commweb_over_bound": against["speed"]["median"],
            "bound_over_itself_min": itself["speed"]["min"],
            "bound_over_itself_max": itself["speed"]["max"],
            "pairs": len(part["rounds"]),
            "synapse_cpu_per_request_over_bound": against["synapse_cpu_per_request"]["median"],
            "cpu_over_bare_client": against["cpu"]["median"],
        }
    if "naive" in found:
        figures["commweb_over_naive"] = found["naive"]["commweb_over_naive"]["speed"]["median"]
    if "naive_http" in found:
        over = found["naive_http"]["commweb_over_naive"]["speed"]["median"]
        figures["commweb_over_naive_http"] = over
    if "counts" in found:
        part = found["counts"]
        figures |= {
            "requests_per_fresh_membership": part["fresh_membership"],
            "requests_per_known_membership": part["known_membership"],
            "requests_unchanged_room": max(part["unchanged_room"], part["unchanged_large_room"]),
            "requests_one_change_in_2000": part["one_change_in_large_room"],
        }
    return figures


def write(path: Path, found: dict[str, Any], machine: dict[str, Any]) -> None:
    """The figures, the machine and the raw numbers. Parts that were not measured this time keep
    what an earlier run on the same machine wrote."""
    raw = {**_earlier(path, machine), **found}
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {**summary(raw), "machine": machine, "raw": raw}
    path.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")


def _earlier(path: Path, machine: dict[str, Any]) -> dict[str, Any]:
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    same = isinstance(earlier, dict) and earlier.get("machine") == machine
    return dict(earlier["raw"]) if same else {}


def show(found: dict[str, Any], machine: dict[str, Any]) -> None:
    """Print what was found this time."""
    print("\nMachine: " + ", ".join(f"{key} {value}" for key, value in machine.items()))
    for line in _clients(found):
        print(line)
    for line in _comparisons(found):
        print(line)
    print()
    for name, value in summary(found).items():
        goal = GOALS.get(name)
        print(f"{name:38} {value:<10} {f'(goal {goal})' if goal else ''}".rstrip())


def _clients(found: dict[str, Any]) -> Iterator[str]:
    """The medians of every client that filled rooms."""
    heads = ("members/s", "requests", "own CPU s", "Synapse s", "ms/request", "peak MiB")
    for part in WITH_MEDIANS:
        if part not in found:
            continue
        yield f"\n{part:14}" + "".join(f"{head:>12}" for head in heads)
        for name, figures in found[part]["medians"].items():
            yield f"{name:14}" + "".join(f"{value:12}" for value in figures.values())
    if "threads" in found:
        yield "\nworker threads, memberships/s"
        for count, rates in found["threads"]["memberships_per_second"].items():
            yield f"{count:14}" + "".join(f"{rate:12}" for rate in rates)
    if "processors" in found:
        yield "\nSynapse on one processor and on all"
        for one in found["processors"]["rounds"]:
            where = "one" if one["one_processor"] else "all"
            cost = 1000 * one["synapse_cpu"] / one["requests"]
            rate = one["memberships_per_second"]
            yield f"{one['who']:10} {where:3}{rate:12.2f} members/s{cost:12.2f} ms/request"


def _comparisons(found: dict[str, Any]) -> Iterator[str]:
    parts = [part for part in WITH_MEDIANS if part in found]
    if parts:
        heads = "".join(f"{head:>24}" for head in ("speed", "own CPU", "Synapse CPU/request"))
        yield f"\n{'ratios of the rounds':28}{heads}"
    for part in parts:
        for name, value in found[part].items():
            if "_over_" in name:
                yield f"{name.replace('_', ' '):28}" + "".join(
                    f"{one['median']:10.3f} ({one['min']:.2f}-{one['max']:.2f})".rjust(24)
                    for one in value.values()
                )
