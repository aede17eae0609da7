"""The homeserver's folder: what is written, what is kept, and what is told when it is damaged."""

from __future__ import annotations

import json
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from commweb.site.homeserver_config import (
    free_port,
    port_is_free,
    read_config,
    write_config,
    write_private,
)
from commweb.site.homeserver_install import HomeserverError


def write(folder: Path, **options: Any) -> dict[str, Any]:
    given = {
        "server_name": "localhost",
        "port": 8008,
        "refreshable_access_token_lifetime": "5m",
        "extra": {},
    }
    return write_config(folder, **{**given, **options})


def test_a_new_folder_has_no_configuration(tmp_path: Path) -> None:
    assert read_config(tmp_path) is None


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    assert write(tmp_path) == read_config(tmp_path)


def test_writing_again_keeps_the_secrets_and_the_signing_key(tmp_path: Path) -> None:
    first, key = write(tmp_path), (tmp_path / "signing.key").read_bytes()
    second = write(tmp_path, port=8009, refreshable_access_token_lifetime="2s")
    for name in ("registration_shared_secret", "macaroon_secret_key", "form_secret"):
        assert first[name] == second[name]
    assert (tmp_path / "signing.key").read_bytes() == key
    assert second["listeners"][0]["port"] == 8009
    assert second["refreshable_access_token_lifetime"] == "2s"


def test_every_folder_has_secrets_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = write(tmp_path / "a"), write(tmp_path / "b")
    assert first["registration_shared_secret"] != second["registration_shared_secret"]
    assert first["macaroon_secret_key"] != first["form_secret"]


def test_tokens_without_expiry_and_further_keys_can_be_asked_for(tmp_path: Path) -> None:
    config = write(
        tmp_path, refreshable_access_token_lifetime=None, extra={"max_upload_size": "1M"}
    )
    assert "refreshable_access_token_lifetime" not in config
    assert config["max_upload_size"] == "1M"


def test_the_files_are_for_their_owner_only(tmp_path: Path) -> None:
    write(tmp_path)
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name


def test_a_private_file_replaces_one_that_others_could_read(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("old", encoding="utf-8")
    path.chmod(0o644)
    write_private(path, "new")
    assert path.read_text(encoding="utf-8") == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "text",
    [
        "",
        "server_name: localhost",
        "[]",
        "null",
        '{"listeners": []}',
        '{"listeners": [{"port": "x"}]}',
        '{"listeners": [{"port": 8008}]}',
        '{"listeners": [{"port": 0}], "registration_shared_secret": "a", '
        '"macaroon_secret_key": "b", "form_secret": "c"}',
    ],
)
def test_a_damaged_configuration_is_told_in_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "homeserver.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(HomeserverError, match="Move the folder away or delete it"):
        write(tmp_path)


def test_bytes_that_are_no_text_are_damage_too(tmp_path: Path) -> None:
    (tmp_path / "homeserver.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(HomeserverError, match="is damaged"):
        read_config(tmp_path)


def test_the_server_name_of_a_folder_cannot_change(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(HomeserverError, match="named localhost, not elsewhere"):
        write(tmp_path, server_name="elsewhere")
    assert json.loads((tmp_path / "homeserver.yaml").read_text())["server_name"] == "localhost"


def test_a_port_somebody_listens_on_is_not_free() -> None:
    port = free_port()
    assert port_is_free(port)
    with socket.create_server(("127.0.0.1", port)):
        assert not port_is_free(port)
