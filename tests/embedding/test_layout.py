"""Our pages inside the host's base template, with Bootstrap, with another stylesheet, with none."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from jinja2 import DictLoader
from werkzeug.test import TestResponse

from commweb.errors import MisuseError
from tests.embedding.visiting import Open, Visitor, open_college, shown

ADMIN = "/communication/admin/"
BLOCKS = ("title", "head", "content", "scripts")


def stylesheets(response: TestResponse) -> list[str]:
    return re.findall(
        r'<link[^>]* href="([^"]*)"[^>]*rel="stylesheet"', response.text
    ) + re.findall(r'<link rel="stylesheet" href="([^"]*)"', response.text)


def page(folder: Path, url: str = ADMIN, **config: Any) -> TestResponse:
    with open_college(folder, **config) as college:
        return Visitor(college, "agnes").get(url)


def with_layout(folder: Path, templates: dict[str, str], name: str = "own.html") -> TestResponse:
    with open_college(folder, COMMWEB_LAYOUT=name) as college:
        agnes = Visitor(college, "agnes")
        college.app.jinja_loader = DictLoader(templates)
        return agnes.get(ADMIN)


def layout(*blocks: str) -> str:
    return "".join(f"<{name}>{{% block {name} %}}{{% endblock %}}" for name in blocks)


def test_a_page_fills_the_four_blocks_of_the_hosts_layout(agnes: Visitor) -> None:
    response = agnes.get(ADMIN)
    text = response.text
    assert re.search(r"<title>\s*Site administration\s*\| College</title>", text)
    assert '<meta name="college">' in text, "what the host puts into a block stays"
    assert stylesheets(response) == [
        "/static/frame.css",
        "/communication/_commweb/static/commweb.css",
    ]
    assert text.index('id="college-menu"') < text.index('<div class="commweb">')
    scripts = re.findall(r'<script src="([^"]*)"', text)
    assert scripts[0] == "/static/frame.js"
    assert all("_commweb/static/" in script for script in scripts[1:])
    assert "commweb-page" not in text, "our own layout takes no part"


def test_the_hosts_menu_and_flash_messages_are_on_our_pages_once(agnes: Visitor) -> None:
    agnes.get("/papers/")
    saved = agnes.send(f"{ADMIN}experimental")
    text = agnes.get(saved.headers["Location"]).text
    assert text.count("Changes saved") == 1
    assert '<p class="flash success">Changes saved</p>' in text
    assert text.count('id="college-menu"') == 1


def test_an_error_page_of_ours_is_in_the_hosts_layout_too(college: Open) -> None:
    bede = Visitor(college, "bede")
    refused = bede.get(ADMIN)
    assert refused.status_code == 403
    assert 'id="college-menu"' in refused.text
    assert "Not allowed" in shown(refused)


@pytest.mark.parametrize("missing", BLOCKS)
def test_a_layout_without_a_block_is_named_with_the_block_and_what_to_add(
    tmp_path: Path, missing: str
) -> None:
    kept = [name for name in BLOCKS if name != missing]
    with pytest.raises(MisuseError) as raised:
        with_layout(tmp_path / "college", {"own.html": layout(*kept)})
    sentence = str(raised.value)
    assert f"'own.html', which COMMWEB_LAYOUT names, has no block '{missing}'" in sentence
    assert f"add {{% block {missing} %}}{{% endblock %}}" in sentence
    assert sentence.endswith(".")


def test_blocks_may_come_from_a_template_the_layout_extends(tmp_path: Path) -> None:
    templates = {
        "base.html": layout("title", "head") + "{% block body %}{% endblock %}",
        "own.html": "{% extends 'base.html' %}{% block body %}" + layout("content", "scripts")
        + "{% endblock %}",
    }  # fmt: skip
    assert with_layout(tmp_path / "college", templates).status_code == 200


def test_a_layout_that_chooses_its_parent_while_rendering_is_left_alone(tmp_path: Path) -> None:
    templates = {
        "light.html": layout(*BLOCKS),
        "own.html": "{% extends 'light.html' if true else 'dark.html' %}",
    }
    assert with_layout(tmp_path / "college", templates).status_code == 200


@pytest.mark.parametrize(
    ("templates", "lost"),
    [({}, "own.html"), ({"own.html": "{% extends 'base.html' %}"}, "base.html")],
)
def test_a_layout_that_is_not_there_is_named(
    tmp_path: Path, templates: dict[str, str], lost: str
) -> None:
    with pytest.raises(MisuseError, match="COMMWEB_LAYOUT") as raised:
        with_layout(tmp_path / "college", templates)
    assert f"was not found: '{lost}'" in str(raised.value)


def test_in_debug_mode_a_layout_is_looked_at_for_each_page(college: Open, agnes: Visitor) -> None:
    college.app.debug = True
    assert agnes.get(ADMIN).status_code == 200
    college.app.jinja_loader = DictLoader({"frame.html": layout("content")})
    with pytest.raises(MisuseError, match="'title' and 'head' and 'scripts'"):
        agnes.get(ADMIN)


def test_with_the_hosts_bootstrap_our_stylesheet_comes_after_it(tmp_path: Path) -> None:
    response = page(tmp_path / "college", BOOTSTRAP=True, BOOTSTRAP_SERVE_LOCAL=True)
    sheets = stylesheets(response)
    assert len([sheet for sheet in sheets if "bootstrap" in sheet]) == 1
    assert sheets[-1] == "/communication/_commweb/static/commweb.css"
    assert 'class="commweb"' in response.text


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, ["/communication/_commweb/static/commweb.css"]),
        ({"COMMWEB_STYLESHEET": None}, ["/communication/_commweb/static/commweb.css"]),
        ({"COMMWEB_STYLESHEET": ""}, []),
        ({"COMMWEB_STYLESHEET": "/static/c.css?v=2&b=1"}, ["/static/c.css?v=2&amp;b=1"]),
        ({"COMMWEB_STYLESHEET": "https://cdn.example/c.css"}, ["https://cdn.example/c.css"]),
    ],
)  # fmt: skip
def test_our_stylesheet_another_one_or_none(
    tmp_path: Path, config: dict[str, Any], expected: list[str]
) -> None:
    assert stylesheets(page(tmp_path / "college", **config)) == ["/static/frame.css", *expected]


def test_a_host_without_a_layout_gets_ours(tmp_path: Path) -> None:
    response = page(tmp_path / "college", COMMWEB_LAYOUT="commweb/layout.html")
    assert 'class="commweb-page"' in response.text
    assert "college-menu" not in response.text


def test_our_pages_need_no_inline_script_or_style(college: Open, agnes: Visitor) -> None:
    number = college.write("Astronomy", "cuthbert")
    college.run("commweb", "sync")
    for url in (
        ADMIN,
        f"{ADMIN}experimental",
        f"{ADMIN}communication/providers",
        f"{ADMIN}communication/rooms",
        f"{ADMIN}communication/rooms/1",
        f"/communication/courses/{number}/communication",
        f"/papers/{number}",
    ):
        text = agnes.get(url).text
        assert not re.search(r"<script(?![^>]*\bsrc=)", text), url
        assert not re.search(r"\s(style|on\w+)=\"", text), url
        assert "<style" not in text, url
