"""A host with nothing but commweb's own requirements: no Babel, no Bootstrap, no course site."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.embedding.processes import ROOT, environment

SITE = """
import sys
from importlib.abc import MetaPathFinder

NOT_THERE = {
    "flask_babel", "babel", "flask_bootstrap", "flask_login", "flask_limiter", "flask_migrate",
    "argon2", "PIL", "waitress", "gunicorn", "pytest", "psutil",
}

class NotInstalled(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in NOT_THERE or name.startswith("commweb.site"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NotInstalled())

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from commweb import CommWeb, Host, Permission, Person

ADA = Person("ada", "ada", "Ada")

class Small(Host):
    def current_person(self): return ADA
    def login_url(self, next): return None
    def can(self, person, permission, course_id=None): return True
    def course(self, id): return None
    def courses(self): return []
    def groups(self, course_id): return []
    def members(self, course_id): return []
    def person(self, id): return ADA if id == "ada" else None

folder = sys.argv[1]
app = Flask("small", instance_path=folder)
app.config.update(
    SECRET_KEY="x", SQLALCHEMY_DATABASE_URI=f"sqlite:///{folder}/small.db",
    COMMWEB_SECRET_KEYS="kP1mHkRzHq3mJmqJk8b6N1t1zYxw8Zt1vJm4w0aQz5E=", TESTING=True,
)
db = SQLAlchemy(app)
comm = CommWeb(app, db=db, host=Small())
with app.app_context():
    comm.upgrade()
    comm.set_enabled(True)
client = app.test_client()
for path in ("admin/", "admin/experimental", "admin/communication/providers",
             "admin/communication/providers/matrix", "admin/communication/rooms"):
    page = client.get(f"/communication/{path}")
    assert page.status_code == 200, (path, page.status_code)
    assert "<h1>" in page.text
from commweb.testing import HostContract
import commweb.sync.worker
print("seen", sorted(set(sys.modules) & NOT_THERE))
"""


def test_a_host_with_nothing_but_our_requirements_shows_every_page(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SITE, str(tmp_path)],
        env=environment(tmp_path),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "seen []\n"
