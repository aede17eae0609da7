"""The starter of the local Synapse does what ``make run`` and the other live tests rely on."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from commweb.site.homeserver import Homeserver, HomeserverError

Maker = Callable[..., Homeserver]


def test_a_sign_in_with_refresh_token_says_when_it_expires(admin_session: Any) -> None:
    assert admin_session.user_id == "@admin:localhost"
    assert admin_session.refresh_token
    assert 290_000 < admin_session.expires_in_ms <= 300_000


def test_a_sign_in_without_refresh_token_does_not_expire(
    homeserver: Homeserver, admin_password: str
) -> None:
    answer = homeserver.login("admin", admin_password)
    assert "expires_in_ms" not in answer
    assert "refresh_token" not in answer


def test_a_restart_keeps_accounts_sessions_and_port(
    make_homeserver: Maker, sign_in: Callable[[Homeserver], Any]
) -> None:
    server = make_homeserver()
    session, before = sign_in(server), server.base_url
    server.restart()
    assert server.base_url == before
    assert server.token_works(session.access_token)
    assert server.register_admin("admin", "another") is False


def test_a_killed_server_starts_again_with_its_data(
    make_homeserver: Maker, sign_in: Callable[[Homeserver], Any]
) -> None:
    server = make_homeserver()
    session = sign_in(server)
    server.kill()
    assert server.pid is None
    server.start()
    assert server.token_works(session.access_token)


def test_a_kept_port_that_somebody_took_is_exchanged(make_homeserver: Maker) -> None:
    server = make_homeserver()
    server.stop()
    port = int(server.base_url.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        server.start()
    assert server.base_url != f"http://127.0.0.1:{port}"
    assert server.pid is not None


def test_a_wanted_port_in_use_is_refused_with_a_sentence(
    synapse_python: Path, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = Homeserver(tmp_path, synapse_python, port=port)
        with pytest.raises(HomeserverError, match=f"Port {port} is in use by another program"):
            server.start()
    assert server.pid is None


def test_two_servers_cannot_use_one_folder(make_homeserver: Maker, synapse_python: Path) -> None:
    first = make_homeserver()
    second = Homeserver(first.folder, synapse_python)
    with pytest.raises(HomeserverError, match="already running from"):
        second.start()
    assert first.pid is not None


def test_an_unreadable_configuration_is_told_in_a_sentence(
    synapse_python: Path, tmp_path: Path
) -> None:
    (tmp_path / "homeserver.yaml").write_text("{not json", encoding="utf-8")
    with pytest.raises(HomeserverError, match=r"is damaged: homeserver\.yaml cannot be read"):
        Homeserver(tmp_path, synapse_python).start()


def test_a_broken_database_is_told_with_the_last_words_of_the_server(
    synapse_python: Path, tmp_path: Path
) -> None:
    (tmp_path / "homeserver.db").write_bytes(b"this is no database " * 100)
    server = Homeserver(tmp_path, synapse_python)
    with pytest.raises(HomeserverError, match=r"did not start\. Its log is .*not a database"):
        server.start()
    assert server.pid is None


def test_a_folder_of_another_server_name_is_refused(make_homeserver: Maker) -> None:
    server = make_homeserver()
    server.stop()
    with pytest.raises(HomeserverError, match="belongs to a homeserver named localhost, not else"):
        Homeserver(server.folder, server.python, server_name="elsewhere.test").start()


def test_the_default_sign_in_limit_is_told_with_its_wait(
    make_homeserver: Maker, admin_password: str
) -> None:
    server = make_homeserver(default_login_limits=True)

    def sign_in_often() -> None:
        for _ in range(20):
            server.login("admin", admin_password)

    with pytest.raises(HomeserverError, match=r"try again in \d+ seconds"):
        sign_in_often()


def test_people_get_their_display_names_and_a_password_that_signs_nobody_out(
    homeserver: Homeserver, unique: str, make_people: Callable[..., list[str]]
) -> None:
    (name,) = make_people(homeserver, 1)
    token = homeserver.login(name, unique)["access_token"]
    homeserver.ensure_people([(name, "Somebody Else")], "a new password")
    assert homeserver.token_works(token)
    assert homeserver.login(name, "a new password")["user_id"] == f"@{name}:localhost"


def test_the_files_with_secrets_are_for_their_owner_only(homeserver: Homeserver) -> None:
    for name in ("homeserver.yaml", "signing.key", "homeserver.log"):
        assert stat.S_IMODE((homeserver.folder / name).stat().st_mode) == 0o600, name


def test_secrets_stay_out_of_the_repr(homeserver: Homeserver, admin_session: Any) -> None:
    assert homeserver.registration_secret
    assert homeserver.registration_secret not in repr(homeserver)
    assert homeserver.admin_token not in repr(homeserver)
    assert admin_session.access_token not in repr(admin_session)


def test_it_listens_on_loopback_only_and_asks_no_other_server(homeserver: Homeserver) -> None:
    config = json.loads((homeserver.folder / "homeserver.yaml").read_text(encoding="utf-8"))
    assert [listener["bind_addresses"] for listener in config["listeners"]] == [["127.0.0.1"]]
    assert config["listeners"][0]["resources"] == [{"names": ["client"], "compress": False}]
    assert config["trusted_key_servers"] == []
    assert config["report_stats"] is False
    assert config["enable_registration"] is False


def test_it_ends_when_the_program_that_started_it_is_killed(
    synapse_python: Path, tmp_path: Path
) -> None:
    starter = (
        "import sys, time, pathlib\n"
        "from commweb.site.homeserver import Homeserver\n"
        "server = Homeserver(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))\n"
        "server.start()\n"
        "print(server.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    command = [sys.executable, "-c", starter, str(tmp_path), str(synapse_python)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert int(program.stdout.readline()) > 0
        os.kill(program.pid, signal.SIGKILL)
        program.wait()
    # The folder is free again only when the orphan is gone; starting waits for that.
    with Homeserver(tmp_path, synapse_python) as successor:
        assert successor.pid is not None


def test_a_server_that_is_kept_to_one_processor_stays_there_with_all_its_threads(
    synapse_python: Path, tmp_path: Path
) -> None:
    with Homeserver(tmp_path / "homeserver", synapse_python, one_processor=True) as server:
        threads = [int(thread.name) for thread in Path(f"/proc/{server.pid}/task").iterdir()]
        places = {frozenset(os.sched_getaffinity(thread)) for thread in threads}
    assert len(threads) > 1
    assert [len(place) for place in places] == [1]


def test_a_password_is_given_to_an_account_that_is_there_and_no_account_is_created(
    homeserver: Homeserver, unique: str
) -> None:
    there, absent = f"there-{unique}", f"absent-{unique}"
    homeserver.ensure_people([(there, "There")], "the first password")
    assert homeserver.account(there)["displayname"] == "There"
    assert homeserver.account(absent) is None
    homeserver.set_password(there, "the second password")
    assert homeserver.login(there, "the second password")["user_id"] == f"@{there}:localhost"
    with pytest.raises(HomeserverError):
        homeserver.set_password(absent, "a password")
    assert homeserver.account(absent) is None
