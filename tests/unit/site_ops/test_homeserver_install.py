"""Installing Synapse fails with a sentence, and a half-made virtualenv is never taken for good."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from commweb.site.homeserver_install import HomeserverError, install_synapse


@pytest.fixture
def _no_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An installer that finds no package anywhere, as without a network."""
    (tmp_path / "nothing").mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nothing"))


@pytest.mark.usefixtures("_no_packages")
def test_without_packages_a_half_made_virtualenv_is_redone_and_the_reason_told(
    tmp_path: Path,
) -> None:
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "commweb-installed").write_text("something older", encoding="utf-8")
    (venv / "left-over").touch()
    said: list[str] = []
    with pytest.raises(HomeserverError, match="Check the network and try again") as caught:
        install_synapse(venv, said.append)
    assert "HOMESERVER=none" in str(caught.value)
    assert said == ["Installing Synapse, once; this takes a minute or two ..."]
    assert not (venv / "left-over").exists()
    assert not (venv / "commweb-installed").exists()
    log = tmp_path / "synapse-install.log"
    assert "No matching distribution" in log.read_text(encoding="utf-8")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_a_place_that_cannot_hold_it_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HomeserverError, match="cannot be installed into"):
        install_synapse(tmp_path / "file" / "venv")
