"""Break the code that decides, one small piece at a time, and see whether its tests notice.

``python scripts/mutants.py [module ...]`` (all without a name; `make mutants` installs what it
needs first). Which modules, and which tests cover each, says ``[tool.mutants]`` in pyproject.toml:
each module is run by itself, with those tests only, so that a change costs about a second.
What no test noticed is printed; docs/mutation.md says why that may be right. Ends with 1 when a
module had no mutants or its tests fail without any change.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "mutants"
TOOL = ROOT / "build" / "mutmut"
FOLDERS = ("commweb", "tests")
HEAD = "[tool.mutmut]\n"


def prepared(module: str, tests: Sequence[str], settings: str) -> Path:
    """A copy of the code in which only ``module`` is changed, and only ``tests`` run."""
    folder = BUILD / Path(module).stem
    shutil.rmtree(folder, ignore_errors=True)
    for name in FOLDERS:
        no_caches = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=no_caches)
    chosen = {"only_mutate": [module], "pytest_add_cli_args_test_selection": list(tests)}
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in chosen.items())
    (folder / "pyproject.toml").write_text(settings.replace(HEAD, HEAD + lines))
    return folder


def say(words: str) -> None:
    sys.stdout.write(words)
    sys.stdout.flush()


def mutmut(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mutmut", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(TOOL)},
        capture_output=True,
        text=True,
        check=False,
    )


def run(module: str, tests: Sequence[str], settings: str, workers: int) -> bool:
    """Whether the module could be tried. Prints how many changes its tests noticed, and the
    others."""
    folder = prepared(module, tests, settings)
    ran = mutmut(folder, "run", "--max-children", str(workers))
    exported = mutmut(folder, "export-cicd-stats")
    stats = folder / "mutants" / "mutmut-cicd-stats.json"
    counts = json.loads(stats.read_text()) if exported.returncode == 0 and stats.exists() else {}
    total = int(counts.get("total", 0))
    if not total:
        say(f"{module}: failed\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}\n")
        return False
    noticed = int(counts["killed"]) + int(counts["timeout"])
    say(f"{module}: {noticed} of {total} changes noticed\n{mutmut(folder, 'results').stdout}")
    return True


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Run mutation tests.")
    parser.add_argument("modules", nargs="*", help="plan, apply, ... (all without a name)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args(arguments)
    settings = (ROOT / "pyproject.toml").read_text()
    known: dict[str, list[str]] = tomllib.loads(settings)["tool"]["mutants"]
    chosen = {
        module: tests
        for module, tests in known.items()
        if not given.modules or Path(module).stem in given.modules
    }
    if not chosen:
        parser.error("no such module: see [tool.mutants] in pyproject.toml")
    tried = [run(module, tests, settings, given.workers) for module, tests in chosen.items()]
    return 0 if all(tried) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
