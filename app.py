"""The course site: a small, complete Flask site that embeds commweb as any other host would.

``flask --app app run`` starts it; `commweb.site.seed.prepare` makes the tables first.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask
from flask_bootstrap import Bootstrap5

from commweb.site import comm, db, views
from commweb.site.config import configure, instance_folder
from commweb.site.front import know_proxies, lead_to_paths_only, refuse_other_names
from commweb.site.headers import send_security_headers
from commweb.site.host import CourseSite
from commweb.site.languages import speak_languages
from commweb.site.login import require_logins
from commweb.site.private import keep_private
from commweb.site.views.errors import FormGuard

HERE = Path(__file__).resolve().parent


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """The site. ``config`` wins over ``FLASK_...`` of the environment, which wins over the
    defaults of `commweb.site.config`; ``config["INSTANCE"]`` names another instance folder.
    """
    instance = instance_folder(HERE, config)
    keep_private(Path(instance))
    app = Flask(__name__, instance_path=instance)
    configure(app, config)
    know_proxies(app)
    refuse_other_names(app)
    db.init_app(app)
    Bootstrap5(app)
    FormGuard(app)
    require_logins(app)
    views.register(app)
    speak_languages(app)
    comm.init_app(app, db=db, host=CourseSite())
    send_security_headers(app)
    lead_to_paths_only(app)
    return app
