"""The pinned sets of libraries: exact, complete, and free of addresses."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def pins(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines)


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-synapse.txt"])
def test_every_line_pins_one_exact_version(name: str) -> None:
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+]+", line), line


def test_every_library_the_project_names_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(item for extra in extras for item in extra)]
    names = {plain(re.split(r"[\[<>=!~ ;]", item)[0]) for item in wanted}
    assert names - {plain(name) for name in pins("constraints.txt")} == set()


def test_the_tests_run_with_the_pinned_versions() -> None:
    different = {name: pin for name, pin in pins("constraints.txt").items() if version(name) != pin}
    assert different == {}


def test_synapse_is_pinned_with_all_it_needs() -> None:
    pinned = pins("constraints-synapse.txt")
    assert {"matrix-synapse", "Twisted", "cryptography", "pydantic"} <= set(pinned)
