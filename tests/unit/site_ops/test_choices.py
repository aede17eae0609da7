"""``make run`` understands its environment, and hands web and worker what they may see."""

from __future__ import annotations

from pathlib import Path

import pytest

from commweb.site.choices import ROOT, ServeError, child_environment, read_choices


def test_an_empty_environment_means_the_defaults() -> None:
    choices = read_choices({})
    assert choices.port == 5000
    assert choices.homeserver is True
    assert choices.instance == ROOT / "instance"
    assert choices.admin_password is None
    assert choices.people_password is None


def test_every_variable_is_read(tmp_path: Path) -> None:
    choices = read_choices(
        {
            "PORT": "5123",
            "HOMESERVER": "none",
            "INSTANCE": str(tmp_path),
            "ADMIN_PASSWORD": "one",
            "PEOPLE_PASSWORD": "two",
        }
    )
    assert choices.port == 5123
    assert choices.homeserver is False
    assert choices.instance == tmp_path
    assert (choices.admin_password, choices.people_password) == ("one", "two")


def test_a_relative_instance_folder_becomes_absolute() -> None:
    assert read_choices({"INSTANCE": "elsewhere"}).instance == Path.cwd() / "elsewhere"


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http", "5000.0", "٥٠٠٠"])
def test_a_port_that_is_none_is_refused_with_a_sentence(port: str) -> None:
    with pytest.raises(ServeError, match="PORT must be a number from 1 to 65535"):
        read_choices({"PORT": port})


def test_an_unknown_homeserver_is_refused_with_a_sentence() -> None:
    with pytest.raises(ServeError, match="HOMESERVER may only be none or not set"):
        read_choices({"HOMESERVER": "off"})


def test_passwords_are_not_in_the_repr() -> None:
    choices = read_choices({"ADMIN_PASSWORD": "first-one", "PEOPLE_PASSWORD": "second-one"})
    assert "first-one" not in repr(choices)
    assert "second-one" not in repr(choices)


def test_children_see_no_password_but_the_port_and_the_folder() -> None:
    environment = {"ADMIN_PASSWORD": "one", "PEOPLE_PASSWORD": "two", "LANG": "C"}
    seen = child_environment(environment, read_choices(environment))
    assert not {"ADMIN_PASSWORD", "PEOPLE_PASSWORD"} & set(seen)
    assert seen["LANG"] == "C"
    assert seen["PORT"] == "5000"
    assert seen["INSTANCE"] == str(ROOT / "instance")


def test_loopback_homeservers_are_allowed_unless_the_environment_says_otherwise() -> None:
    name = "FLASK_COMMWEB_ALLOWED_PRIVATE_HOSTS"

    def allowed(environment: dict[str, str]) -> str:
        return child_environment(environment, read_choices(environment))[name]

    assert allowed({}) == "127.0.0.0/8"
    assert allowed({"COMMWEB_ALLOWED_PRIVATE_HOSTS": "10.0.0.0/8"}) == "10.0.0.0/8"
    assert allowed({name: ""}) == ""
