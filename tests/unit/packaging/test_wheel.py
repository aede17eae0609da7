"""What ``pip install commweb`` gives a host: everything the extension needs, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

EMBEDDING = """
import sys
from cryptography.fernet import Fernet
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
import commweb

class Site(commweb.Host):
    visitor, allowed, login = None, False, None
    def current_person(self): return self.visitor
    def login_url(self, next): return self.login
    def can(self, person, permission, course_id=None): return self.allowed
    def course(self, id): return None
    def courses(self): return []
    def groups(self, course_id): return []
    def members(self, course_id): return []
    def person(self, id): return None

app, db, host, comm = Flask("host"), SQLAlchemy(), Site(), commweb.CommWeb()
app.config.update(SQLALCHEMY_DATABASE_URI="sqlite:///" + sys.argv[1], SECRET_KEY="any",
                  COMMWEB_SECRET_KEYS=[Fernet.generate_key().decode()])
db.init_app(app)
comm.init_app(app, db=db, host=host)
with app.app_context():
    comm.upgrade()
    assert comm.connection_state("matrix") is None
    db.engine.dispose()
client = app.test_client()
def status(path): return client.get("/communication" + path).status_code
assert status("/admin/") == 401
host.login = "/login"
assert status("/admin/") == 302
host.visitor = commweb.Person("1", "someone", "Some One")
assert status("/admin/") == 403
assert status("/admin/communication/providers/matrix") == 403
host.allowed = True
assert status("/admin/") == 200
assert status("/admin/communication/providers/matrix") == 404
with app.app_context():
    comm.set_enabled(True)
assert status("/admin/communication/providers/matrix") == 200
assert "commweb.site" not in sys.modules and "babel" not in sys.modules
print("embedded")
"""


def run(*command: str | Path, folder: Path) -> str:
    """Run it outside the repository, so that only what is installed can be imported."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: building leaves files in its source folder."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(
        ROOT / "commweb", source / "commweb", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("pyproject.toml", "README.md", "app.py"):
        shutil.copy(ROOT / name, source)
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, source, folder=folder)
    (built,) = folder.glob("*.whl")
    return built


def belongs(path: Path) -> bool:
    relative = path.relative_to(ROOT)
    return (
        path.is_file()
        and "__pycache__" not in relative.parts
        and relative.parts[:2] != ("commweb", "site")
    )


def test_the_wheel_holds_every_file_of_the_extension(wheel: Path) -> None:
    wanted = {str(p.relative_to(ROOT)) for p in (ROOT / "commweb").rglob("*") if belongs(p)}
    with zipfile.ZipFile(wheel) as archive:
        assert wanted - set(archive.namelist()) == set()
    assert "commweb/py.typed" in wanted
    for folder in ("commweb/templates/", "commweb/static/", "commweb/migrations/versions/"):
        assert any(name.startswith(folder) for name in wanted), folder
    for language in ("de", "fr"):
        assert f"commweb/translations/{language}/LC_MESSAGES/commweb.mo" in wanted


def test_the_wheel_holds_nothing_of_the_course_site(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        others = [name for name in archive.namelist() if not name.startswith("commweb/")]
        site = [name for name in archive.namelist() if name.startswith("commweb/site")]
    assert site == []
    assert all(".dist-info/" in name for name in others), others


def test_an_installed_wheel_can_be_embedded(wheel: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    run(sys.executable, "-m", "venv", venv, folder=tmp_path)
    python = venv / "bin" / "python"
    constraints = ROOT / "constraints.txt"
    run(python, "-m", "pip", "install", "-qq", "-c", constraints, wheel, folder=tmp_path)
    script = tmp_path / "host.py"
    script.write_text(EMBEDDING, encoding="utf-8")
    said = run(python, script, tmp_path / "host.db", folder=tmp_path)
    assert "embedded" in said
