"""The pages in any host: its layout, its stylesheet, its prefix, a strict content policy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_babel import Babel
from jinja2 import DictLoader
from werkzeug.test import TestResponse

from commweb.errors import MisuseError
from commweb.providers import Registry
from tests.sites import site
from tests.unit.web.conftest import FakeProvider, Visitor, shown

LAYOUT = """<title>{% block title %}{% endblock %}</title>{% block head %}<meta name="host">
{% endblock %}<p>{{ _('Host says') }}</p>{% block content %}{% endblock %}
{% block scripts %}{% endblock %}"""


def page(folder: Path, url: str, layout: str | None = None, **config: Any) -> TestResponse:
    with site(folder, Registry([FakeProvider()]), **config) as school:
        if layout:
            school.app.jinja_loader = DictLoader({"host.html": layout})
            Babel(school.app)
        with school.app.app_context():
            school.comm.set_enabled(True)
        return Visitor(school).get(url)


def test_pages_extend_the_layout_a_host_names(tmp_path: Path) -> None:
    response = page(tmp_path, "/communication/admin/", LAYOUT, COMMWEB_LAYOUT="host.html")
    assert "<title>Site administration</title>" in response.text
    assert '<meta name="host">' in response.text
    assert "Host says" in shown(response)
    assert "commweb-page" not in response.text


def test_blocks_of_a_layout_with_names_of_its_own_stay_its_own(tmp_path: Path) -> None:
    own = "".join(
        f"{{% block {name} %}}host {name};{{% endblock %}}"
        for name in ("breadcrumbs", "page", "banners", "page_title", "crumbs")
    )
    response = page(tmp_path, "/communication/admin/", LAYOUT + own, COMMWEB_LAYOUT="host.html")
    assert "host breadcrumbs;host page;host banners;host page_title;host crumbs;" in response.text
    assert response.text.count('class="breadcrumb"') == 1


def test_our_stylesheet_is_linked_unless_a_host_names_another(tmp_path: Path) -> None:
    for name, config, expected in (
        ("a", {}, ["/communication/_commweb/static/commweb.css"]),
        ("b", {"COMMWEB_STYLESHEET": "/own.css"}, ["/own.css"]),
        ("c", {"COMMWEB_STYLESHEET": ""}, []),
    ):
        folder = tmp_path / name
        folder.mkdir()
        text = page(folder, "/communication/admin/", **config).text
        assert re.findall(r'<link rel="stylesheet" href="(.*?)">', text) == expected


@pytest.mark.parametrize("prefix", ["", "/chat"])
def test_static_files_live_below_the_prefix_and_hide_none_of_the_host(
    tmp_path: Path, prefix: str
) -> None:
    with site(tmp_path, Registry([FakeProvider()]), COMMWEB_URL_PREFIX=prefix) as school:
        visitor = Visitor(school)
        text = visitor.get(f"{prefix}/admin/").text
        files = re.findall(r'(?:src|href)="([^"]*_commweb[^"]*)"', text)
        assert len(files) == 3
        for url in files:
            assert url.startswith(f"{prefix}/_commweb/static/")
            with visitor.get(url) as file:
                assert file.status_code == 200
                assert "no-store" not in file.headers["Cache-Control"]
        assert visitor.get("/static/commweb.css").status_code == 404


def test_pages_work_under_a_policy_without_inline_script_or_style(
    school: Any, admin: Visitor
) -> None:
    for url in (
        "/communication/admin/",
        "/communication/admin/experimental",
        "/communication/admin/communication/providers",
        "/communication/admin/communication/providers/fake",
        "/communication/admin/communication/providers/fake/sign-in",
        "/communication/admin/communication/providers/fake/clear-tokens",
    ):
        text = admin.get(url).text
        assert not re.search(r"<script(?![^>]*\bsrc=)", text)
        assert not re.search(r"\s(style|on\w+)=", text)
        assert "<style" not in text
        ids = re.findall(r'\sid="([^"]+)"', text)
        assert len(ids) == len(set(ids))


def test_two_apps_in_one_process_have_blueprints_of_their_own(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with (
        site(tmp_path / "one", Registry([FakeProvider()]), COMMWEB_URL_PREFIX="/one") as one,
        site(tmp_path / "two", Registry([]), COMMWEB_URL_PREFIX="") as two,
    ):
        with one.app.app_context():
            one.comm.set_enabled(True)
        assert "Fake" in shown(Visitor(one).get("/one/admin/"))
        assert "Fake" not in shown(Visitor(two).get("/admin/"))
        assert one.app.blueprints["commweb"] is not two.app.blueprints["commweb"]


def test_a_provider_named_like_a_page_of_ours_is_refused(tmp_path: Path) -> None:
    class Admin(FakeProvider):
        id = "admin"

    with (
        pytest.raises(MisuseError, match="cannot be named 'admin'"),
        site(tmp_path, Registry([Admin()])),
    ):
        pass


def test_a_host_overrides_a_template_by_its_name(tmp_path: Path) -> None:
    with site(tmp_path, Registry([FakeProvider()])) as school:
        app: Flask = school.app
        app.jinja_loader = DictLoader({"commweb/admin.html": "ours: {{ menu.text }}"})
        assert Visitor(school).get("/communication/admin/").text == "ours: Site administration"
