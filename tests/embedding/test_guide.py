"""docs/embedding.md says what is true."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from jinja2 import DictLoader, Environment

from commweb.config import KEYS, Key
from commweb.web.layout import missing_blocks
from tests.embedding import test_migrations
from tests.embedding.processes import ROOT

GUIDE = (ROOT / "docs" / "embedding.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)


def row(key: Key) -> str:
    default = {None: "none", "": "empty"}.get(key.default, f"`{key.default}`")
    return f"| `{key.name}` | {default} | {key.meaning} |"


def test_the_table_of_configuration_keys_is_the_one_the_code_reads() -> None:
    table = "\n".join(["| key | default | meaning |", "|---|---|---|", *map(row, KEYS)])
    assert f"\n{table}\n\n" in GUIDE, f"Put this table into docs/embedding.md:\n{table}"


@pytest.mark.parametrize("code", blocks("python"))
def test_the_code_is_python_and_imports_what_there_is(code: str) -> None:
    imports = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
    for node in imports:
        module = __import__(str(node.module), fromlist=["x"])
        for name in node.names:
            assert hasattr(module, name.name), f"{node.module} has no {name.name}"


def test_the_layout_has_every_block() -> None:
    (layout,) = (text for text in blocks("jinja") if "<!doctype" in text)
    environment = Environment(loader=DictLoader({"layout": layout}), autoescape=True)
    assert missing_blocks(environment, "layout") == ()
    assert "get_flashed_messages" in layout


def test_the_lines_for_env_py_are_the_ones_the_migration_test_runs_with() -> None:
    (lines,) = (text for text in blocks("python") if "include_name" in text)
    for line in ("from commweb.migrate import include_name", "include_name=include_name"):
        assert line in lines
        assert line in test_migrations.ENV + test_migrations.INCLUDE


def test_the_links_lead_to_files() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", GUIDE.replace("\n", " ")):
        assert (Path(ROOT) / "docs" / target).is_file(), target
