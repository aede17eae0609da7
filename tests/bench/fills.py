"""Filling rooms: commweb against the bare clients, each on the same fresh servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tests.bench.bare import bound, naive
from tests.bench.measure import Fill, mean_of, median, ratios
from tests.bench.options import Options
from tests.bench.world import Arena, WorkerProcess, arena

__all__ = ["naive_over_http", "naive_pairs", "pairs", "processors", "shapes", "threads"]

Rounds = list[dict[str, Fill]]
Step = Callable[[Arena, WorkerProcess, str, Options], Fill]


def _commweb(site: Arena, worker: WorkerProcess, label: str, size: Options) -> Fill:
    return site.by_commweb(label, worker, size.courses, size.people)


def _fast(site: Arena, worker: WorkerProcess, label: str, size: Options) -> Fill:
    with site.fast_fill():
        return site.by_commweb(label, worker, size.courses, size.people, who="fast fill")


def _bound(site: Arena, worker: WorkerProcess, label: str, size: Options) -> Fill:
    return bound(site, label, size.workers, size.courses, size.people)


def _round_robin(site: Arena, worker: WorkerProcess, label: str, size: Options) -> Fill:
    return bound(site, label, size.workers, size.courses, size.people, "round_robin")


def _naive(site: Arena, worker: WorkerProcess, label: str, size: Options) -> Fill:
    return naive(site, label, size.courses, size.people)


SHAPES: dict[str, Step] = {"commweb": _commweb, "fast fill": _fast, "round robin": _round_robin}
PLACED: dict[str, Step] = {"commweb": _commweb, "bound": _bound, "naive": _naive}


def _rounds(
    count: int,
    steps: dict[str, Step],
    size: Options,
    orders: Sequence[Sequence[str]] = (),
    *,
    https: bool = True,
) -> Iterator[dict[str, Fill]]:
    """A fresh server a round, the orders by turns: forwards and backwards unless given, because a
    server slows down as the acting account's rooms grow."""
    ways = orders or (list(steps), list(reversed(steps)))
    for number in range(count):
        order = ways[number % len(ways)]
        with arena(threads=size.workers, https=https) as site:
            worker = site.workers[0]
            done = {
                name: steps[name](site, worker, f"r{number}x{place}", size)
                for place, name in enumerate(order)
            }
        for name in steps:
            print(f"  {number + 1:2}  {_line(name, done[name])}", flush=True)
        yield done


def _line(name: str, fill: Fill) -> str:
    return (
        f"{name:12} {fill.rate:6.2f} memberships/s  {fill.requests_per_membership:.2f} requests "
        f"each  own CPU {fill.client_cpu:5.2f} s  Synapse {fill.synapse_cpu:6.2f} s "
        f"({fill.synapse_ms_per_request:5.2f} ms a request)  {fill.peak_mib:4.0f} MiB"
    )


def _against(rounds: Sequence[dict[str, Fill]], one: str, other: str) -> dict[str, Any]:
    """How ``one`` compares to ``other``: the ratios of the rounds."""
    both = [(done[one], done[other]) for done in rounds]
    return {
        "speed": ratios(a.rate / b.rate for a, b in both),
        "cpu": ratios(a.client_cpu / b.client_cpu for a, b in both),
        "synapse_cpu_per_request": ratios(
            a.synapse_ms_per_request / b.synapse_ms_per_request for a, b in both
        ),
    }


def _medians(rounds: Sequence[dict[str, Fill]]) -> dict[str, dict[str, float]]:
    """The median figures of each client."""
    return {
        name: {
            "memberships_per_second": round(median(done[name].rate for done in rounds), 2),
            "requests_per_membership": round(
                median(done[name].requests_per_membership for done in rounds), 3
            ),
            "own_cpu_seconds": round(median(done[name].client_cpu for done in rounds), 2),
            "synapse_cpu_seconds": round(median(done[name].synapse_cpu for done in rounds), 2),
            "synapse_ms_per_request": round(
                median(done[name].synapse_ms_per_request for done in rounds), 2
            ),
            "peak_mib": round(median(done[name].peak_mib for done in rounds), 1),
        }
        for name in rounds[0]
    }


def _raw(rounds: Sequence[dict[str, Fill]]) -> list[dict[str, Any]]:
    return [{name: fill.as_json() for name, fill in done.items()} for done in rounds]


def _twice_each(
    count: int, other: str, step: Step, size: Options, *, https: bool = True
) -> dict[str, Any]:
    """commweb and another client, twice each on a fresh server: A B B A on one, B A A B on the
    next. What drifts evenly while a server is filled falls out of the sum of each side's fills."""
    ours, again, theirs = "commweb", "commweb again", f"{other} again"
    steps = {ours: _commweb, other: step, theirs: step, again: _commweb}
    orders = ((ours, other, theirs, again), (other, ours, again, theirs))
    rounds = list(_rounds(count, steps, size, orders, https=https))
    sides = [
        {side: mean_of(done[side], done[f"{side} again"]) for side in (ours, other)}
        for done in rounds
    ]
    return {
        "medians": _medians(sides),
        f"commweb_over_{other}": _against(sides, ours, other),
        f"{other}_over_itself": _against(rounds, theirs, other),
        "rounds": _raw(rounds),
    }


def pairs(size: Options) -> dict[str, Any]:
    """commweb and the bound."""
    return _twice_each(size.pairs, "bound", _bound, size)


def naive_pairs(size: Options) -> dict[str, Any]:
    """commweb and the naive pattern."""
    return _twice_each(size.rounds, "naive", _naive, size)


def naive_over_http(size: Options) -> dict[str, Any]:
    """The same where a new connection costs least: without TLS, on the same machine."""
    return _twice_each(size.rounds, "naive", _naive, size, https=False)


def shapes(size: Options) -> dict[str, Any]:
    """commweb against the other ways to do the same."""
    rounds = list(_rounds(size.rounds, SHAPES, size))
    return {
        "medians": _medians(rounds),
        **{
            f"commweb_over_{name.replace(' ', '_')}": _against(rounds, "commweb", name)
            for name in SHAPES
            if name != "commweb"
        },
        "rounds": _raw(rounds),
    }


def threads(size: Options) -> dict[str, Any]:
    """commweb with 1, 2, 4 and 8 worker threads: upwards on one server, downwards on another."""
    found: dict[int, list[Fill]] = {1: [], 2: [], 4: [], 8: []}
    for number, order in enumerate((list(found), list(reversed(found)))):
        with arena() as site:
            for count in order:
                worker = site.worker(count)
                site.by_commweb(f"w{number}x{count}", worker, 1, 3)
                label = f"t{number}x{count}"
                found[count].append(site.by_commweb(label, worker, size.courses, size.people))
                worker.child.stop(12)
                print(f"   {_line(f'{count} threads', found[count][-1])}", flush=True)
    rates = {count: [round(fill.rate, 2) for fill in fills] for count, fills in found.items()}
    best = max(rates, key=lambda count: sum(rates[count]))
    return {"memberships_per_second": rates, "best": best}


def processors(size: Options) -> dict[str, Any]:
    """Synapse kept to one processor and free to use all: what the same calls cost it."""
    found: list[dict[str, Any]] = []
    for number, one_processor in enumerate((True, False, False, True)):
        where = "one processor" if one_processor else "all processors"
        with arena(threads=size.workers, one_processor=one_processor) as site:
            for name, step in PLACED.items():
                fill = step(site, site.workers[0], f"n{number}{name[0]}", size)
                print(f"   {_line(name, fill)} on {where}", flush=True)
                found.append({"one_processor": one_processor, **fill.as_json()})
    return {"rounds": found}
