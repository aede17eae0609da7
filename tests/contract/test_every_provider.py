"""What every provider keeps to, the real ones and the one the tests simulate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from wtforms import HiddenField

from commweb.fields import SecretField, SettingsForm
from commweb.providers import Registry, installed
from commweb.providers.base import Backend, Provider
from commweb.providers.options import CourseOptions
from tests.simulated import SimulatedProvider, SimulatedServer
from tests.sites import Site, site

PROVIDERS = (*installed(), SimulatedProvider(SimulatedServer()))


@pytest.fixture(params=PROVIDERS, ids=lambda provider: provider.id)
def provider(request: pytest.FixtureRequest) -> Provider:
    found: Provider = request.param
    return found


@pytest.fixture
def school(tmp_path: Path, provider: Provider) -> Iterator[Site]:
    with site(tmp_path, Registry([provider])) as made:
        yield made


def defaults(provider: Provider) -> dict[str, object]:
    return {setting.key: setting.default for setting in provider.settings}


def test_it_has_an_id_for_addresses_and_a_name_for_people(provider: Provider) -> None:
    assert provider.id.isidentifier()
    assert provider.id == provider.id.lower()
    assert str(provider.name)


def test_its_settings_form_asks_for_settings_and_secrets_alone(
    provider: Provider, school: Site
) -> None:
    form_class = provider.settings_form()
    if form_class is None:
        assert provider.settings == ()
        return
    assert issubclass(form_class, SettingsForm)
    with school.app.test_request_context():
        form = form_class(formdata=None)
        plain = {field.name for field in form if not isinstance(field, SecretField | HiddenField)}
        assert plain <= {setting.key for setting in provider.settings}


def test_it_works_without_a_server_or_waits_for_a_session(provider: Provider) -> None:
    needs_a_session = provider.settings_form() is not None
    assert provider.configured(defaults(provider), has_session=False) is not needs_a_session
    assert isinstance(provider.server_url(defaults(provider)), str)


def test_what_a_course_fills_in_comes_back_from_storage(provider: Provider, school: Site) -> None:
    form_class = provider.course_form()
    assert form_class is not None
    assert issubclass(form_class, CourseOptions)
    with school.app.test_request_context():
        empty = form_class(formdata=None, prefix=f"{provider.id}-")
        stored = json.loads(json.dumps(empty.values()))
        assert form_class(formdata=None, data=stored).values() == stored
        assert "csrf_token" not in stored
        assert all(field.label.text and field.id for field in empty)


def test_who_keeps_rooms_works_on_them_and_who_does_not_has_a_link(provider: Provider) -> None:
    values = defaults(provider)
    if provider.has_rooms:
        assert type(provider).backend is not Provider.backend
        assert provider.course_url({}) is None
        links = provider.room_links(values, "!room:hs.example", None, "")
        assert links.web == provider.room_url(values, "!room:hs.example")
    else:
        assert type(provider).course_url is not Provider.course_url
        assert provider.course_url({}) is None, "an address nobody entered"
        assert provider.room_url(values, "!room:hs.example") is None
        with pytest.raises(NotImplementedError):
            provider.backend(None)  # type: ignore[arg-type]


def test_a_backend_does_everything_the_engine_asks(provider: Provider) -> None:
    if not provider.has_rooms:
        return
    calls = {name for name, value in vars(Backend).items() if callable(value)}
    asked = {name for name in calls if not name.startswith("_")} - {"close"}
    backends = [kind for kind in Backend.__subclasses__() if _is_of(kind, provider)]
    assert backends
    for kind in backends:
        assert {name for name in asked if getattr(kind, name) is getattr(Backend, name)} == set()


def _is_of(kind: type[Backend], provider: Provider) -> bool:
    package = type(provider).__module__.rpartition(".")[0]
    return kind.__module__.rpartition(".")[0] == package
