"""`CommWeb`: what a host registers, reports to and asks.

The object holds no state; each app's lives in ``app.extensions["commweb"]``, so one object can
serve several apps and an object made anywhere serves the current app.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Flask

from commweb import config as configuration
from commweb import migrate
from commweb.answers import CheckedHost, check_person
from commweb.cli import group as cli_group
from commweb.database import Database
from commweb.encryption import Sealer, Secret
from commweb.errors import MisuseError
from commweb.hooks import listen, report, require_id
from commweb.host import DEFAULT, Default, Host, Person
from commweb.i18n import format_datetime, gettext, ngettext
from commweb.net import NetworkPolicy
from commweb.providers import Registry, installed
from commweb.providers.base import Provider
from commweb.provisioning import configure, known_provider
from commweb.queue import make_queue
from commweb.settings import Settings
from commweb.state import (
    SITE,
    SITE_SETTINGS,
    State,
    current_state,
)
from commweb.sync.closing_rooms import Consequences, consequences_of
from commweb.web import api, build_blueprint
from commweb.web.course_status import CourseStatus, course_status, course_status_once
from commweb.web.menu import MenuItem, navigation

__all__ = ["CommWeb", "Consequences", "CourseStatus", "MenuItem"]


class CommWeb:
    """The extension. Register once per app: ``CommWeb(app, db=db, host=MyHost())`` or
    ``comm.init_app(app, db=db, host=MyHost())`` in a factory.

    Configuration keys: see `commweb.config.KEYS`.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        db: Any = None,
        host: Host | None = None,
        registry: Registry | None = None,
        forms: Mapping[str, type[Any]] | None = None,
    ) -> None:
        self.api_blueprint: Blueprint = api.build()
        """The JSON API's blueprint, for ``csrf.exempt(comm.api_blueprint)``. It knows no app."""
        if app is not None:
            self.init_app(app, db=db, host=host, registry=registry, forms=forms)

    def init_app(
        self,
        app: Flask,
        *,
        db: Any = None,
        host: Host | None = None,
        registry: Registry | None = None,
        forms: Mapping[str, type[Any]] | None = None,
    ) -> None:
        """Register with ``app``. ``db`` is the host's Flask-SQLAlchemy object, already
        initialised. Starts no thread and reads no table.

        ``registry``: the providers; None: every installed one. ``forms``: forms in place of ours
        by name (``course``, ``experimental`` or a provider's id), each derived from the one it
        replaces.

        Raises `MisuseError` with a sentence that says what to do.
        """
        host = _checked_host(app, db, host)
        config = configuration.read(app.config)
        database = Database(app, db)
        queue = make_queue(
            config.queue_url, app.instance_path, config.secret_keys[0], instance=config.instance
        )
        state = State(
            app=app,
            db=db,
            host=CheckedHost(host),
            config=config,
            database=database,
            sealer=Sealer(config.secret_keys),
            settings=Settings(database),
            registry=installed() if registry is None else registry,
            network=NetworkPolicy(
                config.allowed_private_hosts, config.ca_bundle, config.http_proxy
            ),
            queue=queue,
            forms=dict(forms or {}),
        )
        pages = build_blueprint(state, self.api_blueprint)
        app.extensions["commweb"] = state
        listen(db)
        migrate.spare_our_tables(app)
        app.register_blueprint(pages, url_prefix=config.url_prefix or None)
        app.cli.add_command(cli_group)
        app.jinja_env.globals["commweb_course_status"] = _status_for_template
        app.jinja_env.globals["commweb_gettext"] = gettext
        app.jinja_env.globals["commweb_ngettext"] = ngettext
        app.jinja_env.globals["commweb_datetime"] = format_datetime

    # What the host reports. Each adds one row to the host's session; none flushes or commits.

    def course_created(self, course_id: str, provider: str | Default | None = DEFAULT) -> None:
        """A course was made. ``provider``: what its author chose (an id, or None for no room);
        DEFAULT: what the admin chose for new courses."""
        state = current_state()
        chosen = self.default_provider() if isinstance(provider, Default) else provider or ""
        if chosen and chosen not in state.registry:
            raise MisuseError(f"There is no provider {chosen!r}.")
        if isinstance(provider, Default) and not chosen:
            return
        report(state, "created", course_id=course_id, provider=chosen)

    def course_changed(self, course_id: str) -> None:
        """Anything about the course changed: its name, picture, people, groups."""
        report(current_state(), "course", course_id=course_id)

    def course_deleted(self, course_id: str) -> None:
        """The course is gone for good: its rooms are closed. A course that the host no longer
        has and that nobody reported keeps its rooms until a person decides."""
        report(current_state(), "deleted", course_id=course_id)

    def group_deleted(self, course_id: str, group_id: str) -> None:
        """The group is gone for good: its room is closed. A room of a group that the host no
        longer has and that nobody reported keeps its people until a person decides."""
        require_id(group_id)
        report(current_state(), "group_deleted", course_id=course_id, person_id=group_id)

    def person_changed(self, person_id: str) -> None:
        """A person was renamed, suspended or reinstated."""
        report(current_state(), "person", person_id=person_id)

    def person_deleted(self, person_id: str) -> None:
        """The person is gone for good: somebody with the same id is somebody else, and gets
        another account."""
        report(current_state(), "person_deleted", person_id=person_id)

    # What the host asks.

    def course_status(self, course_id: str, person: Person | None) -> CourseStatus:
        """What to tell ``person`` about the course's rooms. Needs a request, for its links."""
        require_id(course_id)
        check_person(person, "The call of course_status()")
        return course_status(current_state(), course_id, person)

    def consequences(
        self, course_id: str, *, group_id: str | None = None, deleted: bool = True
    ) -> Consequences | None:
        """What deleting the course, or one of its groups (``group_id``), does to people, for the
        host's own confirming page; None: nothing that has to be asked. ``deleted`` False: what
        becomes of the rooms that it has now when it leaves them, and is still there; deleting it
        closes the rooms that it left before and that wait for a confirmation, too.

        From the record: the homeserver is not asked. ``{% include "commweb/consequences.html" %}``
        draws it. Where ``deletes_messages`` is true, have the course's short name typed."""
        require_id(course_id)
        if group_id is not None:
            require_id(group_id)
        state = current_state()
        with state.database.read() as connection:
            return consequences_of(
                state,
                connection,
                course_id,
                lambda row: group_id in (None, row.group_id),
                deleted=deleted and group_id is None,
            )

    def navigation(self, person: Person | None) -> tuple[MenuItem, ...]:
        """The menu for ``person`` as data: items with ``text``, ``url`` and ``children``."""
        check_person(person, "The call of navigation()")
        return navigation(current_state(), person)

    def provider_choices(self) -> list[tuple[str, str]]:
        """(id, name) of what a course may choose now; the first is no room."""
        state = current_state()
        choices = [("", str(gettext("None")))]
        if state.subsystem_on():
            choices += [(p.id, str(p.name)) for p in state.registry if _active(state, p)]
        return choices

    def default_provider(self) -> str:
        """The id of the provider a new course gets by default; empty: none."""
        state = current_state()
        if not state.subsystem_on():
            return ""
        for provider in state.registry:
            wanted = provider.wanted_for_new_courses(state.values(provider).values)
            if wanted and _active(state, provider):
                return provider.id
        return ""

    # What provisioning scripts do.

    def upgrade(self) -> None:
        """Make or migrate commweb's tables (``flask commweb upgrade``)."""
        migrate.upgrade(current_state())

    def set_enabled(self, on: bool, *, actor: str = "") -> None:
        """Turn the communication subsystem on or off."""
        current_state().settings.save(
            SITE, SITE_SETTINGS, {"communication_enabled": on}, expected_version=None, actor=actor
        )

    def configure(
        self,
        provider: str,
        values: Mapping[str, str | bool | int],
        *,
        access_token: str | None = None,
        refresh_token: str | None = None,
        expires_in_seconds: float | None = None,
        user_id: str | None = None,
        device_id: str | None = None,
        secrets: Mapping[str, str] | None = None,
        actor: str = "",
        allow_new_server: bool = False,
    ) -> None:
        """Save a provider's settings and, where given, the tokens of its session and the
        ``secrets`` of its own by field name. Nobody is asked: a session that is replaced goes on
        living on its server.

        With ``user_id`` the server's name is known before its first answer. An account of another
        server than the one the rooms are on raises `commweb.errors.AnotherServer` (a
        `MisuseError`, with the numbers); ``allow_new_server=True`` has everything created anew
        there, and the old rooms stay as they are.

        Raises `commweb.errors.UnknownSetting` for a key, or a secret, that the provider does not
        have.
        """
        configure(
            current_state(),
            provider,
            values,
            access=Secret(access_token) if access_token else None,
            refresh=Secret(refresh_token) if refresh_token else None,
            expires_in_seconds=expires_in_seconds,
            user_id=user_id,
            device_id=device_id,
            secrets={name: Secret(value) for name, value in (secrets or {}).items()},
            actor=actor,
            allow_new_server=allow_new_server,
        )

    def connection_state(self, provider: str) -> str | None:
        """``ok`` or ``sign_in_needed``; None when no session is stored."""
        state = current_state()
        session = state.tokens(known_provider(state, provider)).read()
        return session.state if session else None


def _checked_host(app: Flask, db: Any, host: Host | None) -> Host:
    if "commweb" in app.extensions:
        raise MisuseError(
            "commweb is registered with this app already. Call init_app once per app, or pass "
            "the app to CommWeb(...) but not both."
        )
    if db is None:
        raise MisuseError(
            "commweb needs the site's Flask-SQLAlchemy object: "
            "comm.init_app(app, db=db, host=MyHost())."
        )
    if app.extensions.get("sqlalchemy") is not db:
        raise MisuseError(
            "Call db.init_app(app) before comm.init_app(app, db=db, host=...), with the same db."
        )
    if not isinstance(host, Host):
        raise MisuseError(
            "commweb needs a host: an instance of a class derived from commweb.Host (not the "
            "class itself), passed as "
            "comm.init_app(app, db=db, host=MyHost())."
        )
    return host


def _active(state: State, provider: Provider) -> bool:
    return state.provider_state(provider).active


def _status_for_template(course_id: object) -> CourseStatus:
    state = current_state()
    return course_status_once(state, str(course_id), state.host.current_person())
