"""A college's site: a foreign host that grew without commweb and embeds it in its factory.

Papers instead of courses, scholars with UUIDs instead of users, a door of its own instead of
Flask-Login, a second database, a layout of two templates, and blueprints whose names commweb has
too. It imports public names only.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask, request
from flask_babel import Babel
from flask_bootstrap import Bootstrap5
from flask_migrate import Migrate
from flask_wtf import CSRFProtect
from jinja2 import StrictUndefined

from commweb import CommWeb, Host
from commweb.migrate import include_name
from commweb.providers import Registry
from tests.embedding.college.models import db

comm = CommWeb()
migrate = Migrate(render_as_batch=True, include_name=include_name)
csrf = CSRFProtect()
csrf.exempt(comm.api_blueprint)


def create_app(
    folder: Path,
    registry: Registry | None = None,
    forms: Mapping[str, type[Any]] | None = None,
    host: Host | None = None,
    **config: Any,
) -> Flask:
    """The site, with everything it writes in ``folder``."""
    from tests.embedding.college import views
    from tests.embedding.college.host import College

    app = Flask(__name__, instance_path=str(folder))
    app.config.from_mapping(
        SECRET_KEY="the college's own",
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{folder / 'college.db'}",
        SQLALCHEMY_BINDS={"archive": f"sqlite:///{folder / 'archive.db'}"},
        COMMWEB_SECRET_KEYS="kP1mHkRzHq3mJmqJk8b6N1t1zYxw8Zt1vJm4w0aQz5E=",
        COMMWEB_LAYOUT="frame.html",
        COMMWEB_QUEUE_URL="inline",
        PROTECTED=True,
        LANGUAGES=False,
        BOOTSTRAP=False,
    )
    app.config.from_mapping(config)
    app.jinja_env.undefined = StrictUndefined
    db.init_app(app)
    migrate.init_app(app, db, directory=str(folder / "migrations"))
    if app.config["PROTECTED"]:
        csrf.init_app(app)
    if app.config["LANGUAGES"]:
        Babel(app, locale_selector=lambda: request.accept_languages.best_match(["en", "de"]))
    if app.config["BOOTSTRAP"]:
        Bootstrap5(app)
    views.register(app)
    comm.init_app(app, db=db, host=host or College(), registry=registry, forms=forms)
    return app
