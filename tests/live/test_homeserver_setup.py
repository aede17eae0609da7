"""The course site is connected with its homeserver once, and again only where it has to be."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from sqlalchemy import text

from app import create_app
from commweb.site import comm, db
from commweb.site.homeserver import Homeserver
from commweb.site.homeserver_setup import ADMIN, connect
from commweb.site.seed import prepare


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Flask]:
    """A prepared course site that nothing is filled in yet; its folder is ``tmp_path``."""
    app = create_app(
        {"INSTANCE": str(tmp_path), "TESTING": True, "COMMWEB_QUEUE_URL": "inline"},
    )
    prepare(app)
    yield app
    with app.app_context():
        db.engine.dispose()
    app.extensions["commweb"].database.dispose()


def note(folder: Path) -> dict[str, str]:
    return dict(json.loads((folder / "homeserver.json").read_text(encoding="utf-8")))


def sign_ins(homeserver: Homeserver) -> set[str]:
    """The device ids of the account that acts for the site."""
    account = quote(homeserver.user_id(ADMIN), safe="")
    found = homeserver.admin("GET", f"/_synapse/admin/v2/users/{account}/devices")
    return {device["device_id"] for device in found["devices"]}


def stored(site: Flask) -> dict[str, Any]:
    """The row of the site's session, sealed as it is."""
    with site.app_context():
        row = db.session.execute(text("SELECT * FROM commweb_connection")).mappings().one()
        return dict(row)


def test_the_first_time_signs_in_fills_in_and_turns_on(
    site: Flask, homeserver: Homeserver, tmp_path: Path
) -> None:
    connect(site, homeserver, tmp_path)
    with site.app_context():
        assert comm.connection_state("matrix") == "ok"
        assert comm.default_provider() == "matrix"
    found = note(tmp_path)
    assert found["base_url"] == homeserver.base_url
    assert found["user_id"] == homeserver.user_id(ADMIN)
    assert homeserver.token_works(found["access_token"])
    assert stat.S_IMODE((tmp_path / "homeserver.json").stat().st_mode) == 0o600


def test_the_second_time_changes_nothing(
    site: Flask, homeserver: Homeserver, tmp_path: Path
) -> None:
    connect(site, homeserver, tmp_path)
    before = (note(tmp_path), sign_ins(homeserver), stored(site))
    connect(site, homeserver, tmp_path)
    assert (note(tmp_path), sign_ins(homeserver), stored(site)) == before


def test_a_dead_session_is_replaced_by_a_new_sign_in(
    site: Flask, homeserver: Homeserver, tmp_path: Path
) -> None:
    connect(site, homeserver, tmp_path)
    before = sign_ins(homeserver)
    with site.app_context():
        db.session.execute(text("UPDATE commweb_connection SET state = 'sign_in_needed'"))
        db.session.commit()
        assert comm.connection_state("matrix") == "sign_in_needed"
    connect(site, homeserver, tmp_path)
    with site.app_context():
        assert comm.connection_state("matrix") == "ok"
    assert len(sign_ins(homeserver) - before) == 1


def test_a_homeserver_on_another_port_is_signed_in_to_again(
    site: Flask, homeserver: Homeserver, tmp_path: Path
) -> None:
    connect(site, homeserver, tmp_path)
    earlier = stored(site)["generation"]
    moved = {**note(tmp_path), "base_url": "http://127.0.0.1:1"}
    (tmp_path / "homeserver.json").write_text(json.dumps(moved), encoding="utf-8")
    connect(site, homeserver, tmp_path)
    assert note(tmp_path)["base_url"] == homeserver.base_url
    assert note(tmp_path)["access_token"] == moved["access_token"]
    assert stored(site)["generation"] > earlier


@pytest.mark.parametrize("damage", ["", "{}", "[]", '{"base_url": 1}'])
def test_a_damaged_note_is_made_again(
    site: Flask, homeserver: Homeserver, tmp_path: Path, damage: str
) -> None:
    (tmp_path / "homeserver.json").write_text(damage, encoding="utf-8")
    connect(site, homeserver, tmp_path)
    assert homeserver.token_works(note(tmp_path)["access_token"])


def test_a_subsystem_an_admin_turned_off_stays_off(
    site: Flask, homeserver: Homeserver, tmp_path: Path
) -> None:
    connect(site, homeserver, tmp_path)
    with site.app_context():
        comm.set_enabled(False)
    connect(site, homeserver, tmp_path)
    with site.app_context():
        assert comm.default_provider() == ""
