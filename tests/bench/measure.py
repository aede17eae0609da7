"""What is measured of a run, and what the machine is."""

from __future__ import annotations

import os
import platform
import statistics
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

__all__ = [
    "SETTLE_SECONDS",
    "Fill",
    "cpu_seconds",
    "machine",
    "mean_of",
    "median",
    "peak_mib",
    "ratios",
]

SETTLE_SECONDS = 1.0
"""How long a server is left alone before it is measured."""


@dataclass(frozen=True)
class Fill:
    """One run that fills rooms. ``client_cpu`` and ``synapse_cpu`` are processor seconds, user and
    system; ``peak_mib`` is the client process's largest resident size."""

    who: str
    memberships: int
    requests: int
    seconds: float
    client_cpu: float
    synapse_cpu: float
    peak_mib: float

    @property
    def rate(self) -> float:
        """Memberships a second."""
        return self.memberships / self.seconds

    @property
    def requests_per_membership(self) -> float:
        return self.requests / self.memberships

    @property
    def synapse_ms_per_request(self) -> float:
        return 1000 * self.synapse_cpu / self.requests

    def as_json(self) -> dict[str, Any]:
        return {
            **{key: _short(value) for key, value in asdict(self).items()},
            "memberships_per_second": _short(self.rate),
        }


def mean_of(one: Fill, other: Fill) -> Fill:
    """One fill that stands for two by the same client."""
    return Fill(
        one.who,
        (one.memberships + other.memberships) // 2,
        round((one.requests + other.requests) / 2),
        (one.seconds + other.seconds) / 2,
        (one.client_cpu + other.client_cpu) / 2,
        (one.synapse_cpu + other.synapse_cpu) / 2,
        max(one.peak_mib, other.peak_mib),
    )


def _short(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


def cpu_seconds(pid: int) -> float:
    """Processor time the process has used so far, user and system."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def peak_mib(pid: int) -> float:
    """The largest resident size the process ever had (Linux); its size now elsewhere."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return float(psutil.Process(pid).memory_info().rss) / 2**20


def median(values: Iterable[float]) -> float:
    return float(statistics.median(list(values)))


def ratios(values: Iterable[float]) -> dict[str, float]:
    """Median, smallest and largest, rounded for reading."""
    found = sorted(values)
    return {
        "median": round(median(found), 4),
        "min": round(found[0], 4),
        "max": round(found[-1], 4),
    }


def machine(synapse: str) -> dict[str, Any]:
    """Where the figures come from. ``synapse``: the version of the homeserver."""
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu_model(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": sys.version.split()[0],
        "synapse": synapse,
    }


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
