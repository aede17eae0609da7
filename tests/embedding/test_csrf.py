"""With the host's CSRFProtect and without it: every form of ours carries and checks a token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask, jsonify
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect

from commweb import CommWeb
from tests.embedding.college.host import College
from tests.embedding.visiting import Open, Visitor, form_values, open_college

EXPERIMENTAL = "/communication/admin/experimental"
PROVIDERS = "/communication/admin/communication/providers"


@pytest.fixture(params=[True, False], ids=["protected", "unprotected"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    with open_college(tmp_path / "college", PROTECTED=request.param) as made:
        yield made


def is_on(college: Open) -> bool:
    with college.app.app_context():
        return college.state.subsystem_on()


def test_a_form_is_saved_with_its_token(either: Open) -> None:
    agnes = Visitor(either, "agnes")
    assert agnes.send(EXPERIMENTAL, communication_enabled=None).status_code == 303
    assert not is_on(either)


def test_a_form_is_refused_without_its_token_or_with_a_made_up_one(either: Open) -> None:
    agnes = Visitor(either, "agnes")
    version = form_values(agnes.get(EXPERIMENTAL).text)["version"]
    for made_up in ({}, {"csrf_token": "made-up"}):
        refused = agnes.post(EXPERIMENTAL, version=version, **made_up)
        assert refused.status_code in (400, 422)
    assert is_on(either)


def test_a_button_works_with_its_token_and_is_refused_without(either: Open) -> None:
    agnes = Visitor(either, "agnes")
    assert agnes.post(f"{PROVIDERS}/simulated/disable").status_code == 400
    pressed = agnes.send(PROVIDERS, f"{PROVIDERS}/simulated/disable")
    assert pressed.status_code == 303
    assert 'aria-label="Enable Simulated"' in agnes.get(PROVIDERS).text


def test_a_host_may_call_the_token_something_else(tmp_path: Path) -> None:
    for protected in (True, False):
        folder = tmp_path / str(protected)
        config = {"PROTECTED": protected, "WTF_CSRF_FIELD_NAME": "_proof"}
        with open_college(folder, **config) as college:
            agnes = Visitor(college, "agnes") if not protected else _let_in(college)
            values = form_values(agnes.get(EXPERIMENTAL).text)
            assert "_proof" in values
            assert "csrf_token" not in values
            assert agnes.send(EXPERIMENTAL, communication_enabled=None).status_code == 303
            assert not is_on(college)


def _let_in(college: Open) -> Visitor:
    """Agnes, where the college's own door does not know the token's new name."""
    visitor = Visitor(college)
    proof = form_values(visitor.get("/door").text)["csrf_token"]
    assert visitor.post("/door", handle="agnes", _proof=proof).status_code == 303
    return visitor


def test_a_host_that_turns_the_forms_tokens_off_saves_without(tmp_path: Path) -> None:
    config = {"PROTECTED": False, "WTF_CSRF_ENABLED": False}
    with open_college(tmp_path / "college", **config) as college:
        agnes = Visitor(college, "agnes")
        assert "csrf_token" not in agnes.get(EXPERIMENTAL).text
        assert agnes.send(EXPERIMENTAL, communication_enabled=None).status_code == 303


@pytest.mark.parametrize("exempt", [True, False])
def test_the_json_service_is_exempt_where_the_host_says_so(tmp_path: Path, exempt: bool) -> None:
    """The route here is the host's own, on our blueprint: what is exempt is the blueprint."""
    app = Flask("machines", instance_path=str(tmp_path))
    app.config.update(
        SECRET_KEY="not-a-secret",
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path / 'site.db'}",
        COMMWEB_SECRET_KEYS="kP1mHkRzHq3mJmqJk8b6N1t1zYxw8Zt1vJm4w0aQz5E=",
        COMMWEB_QUEUE_URL="inline",
    )
    csrf, db, comm = CSRFProtect(app), SQLAlchemy(app), CommWeb()
    comm.api_blueprint.add_url_rule("/probe", "probe", lambda: jsonify(ok=True), methods=["POST"])
    comm.init_app(app, db=db, host=College())
    if exempt:
        csrf.exempt(comm.api_blueprint)
    try:
        answer = app.test_client().post("/communication/api/probe")
        assert answer.status_code == (200 if exempt else 400)
    finally:
        with app.app_context():
            db.engine.dispose()


def test_exempting_our_service_leaves_the_hosts_own_protected(college: Open) -> None:
    """The host has a blueprint named api as well."""
    assert Visitor(college).post("/machines/room").status_code == 400
