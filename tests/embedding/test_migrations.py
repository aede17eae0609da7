"""The host's own Alembic, run for real, beside commweb's tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import create_engine

from commweb.migrate import include_name, spare_our_tables
from tests.embedding.visiting import Open

ENV = """
from alembic import context
from commweb.migrate import include_name
from tests.embedding.college.models import db

connection = context.config.attributes["connection"]
context.configure(
    connection=connection, target_metadata=db.metadata, render_as_batch=True{more}
)
with context.begin_transaction():
    context.run_migrations()
"""
INCLUDE = ", include_name=include_name"
SCRIPT = '''"""${message}"""
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
import sqlalchemy as sa
from alembic import op
def upgrade():
    ${upgrades if upgrades else "pass"}
def downgrade():
    ${downgrades if downgrades else "pass"}
'''


@contextmanager
def alembic(folder: Path, database: Path, *, more: str) -> Iterator[Callable[[str], str]]:
    """``revise(name)``: what autogenerate proposes, as the text of the new revision."""
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").write_text(ENV.replace("{more}", more))
    (folder / "script.py.mako").write_text(SCRIPT)
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.set_main_option("path_separator", "os")
    engine = create_engine(f"sqlite:///{database}")

    def revise(name: str) -> str:
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.stamp(config, "head")
            command.revision(config, name, autogenerate=True)
            connection.commit()
        (made,) = (folder / "versions").glob(f"*_{name}.py")
        return made.read_text()

    try:
        yield revise
    finally:
        engine.dispose()


def test_autogenerate_with_include_name_proposes_nothing_about_our_tables(
    college: Open, tmp_path: Path
) -> None:
    database = tmp_path / "college" / "college.db"
    with alembic(tmp_path / "with", database, more=INCLUDE) as revise:
        proposed = revise("quiet")
    assert "commweb" not in proposed
    assert "op." not in proposed.replace("alembic import op", "")


def test_autogenerate_without_include_name_proposes_to_drop_our_tables(
    college: Open, tmp_path: Path
) -> None:
    database = tmp_path / "college" / "college.db"
    with alembic(tmp_path / "without", database, more="") as revise:
        proposed = revise("loud")
    assert "op.drop_table('commweb_room')" in proposed
    assert "op.drop_table('commweb_alembic_version')" in proposed


@pytest.mark.parametrize("name", ["commweb_room", "commweb_alembic_version"])
def test_include_name_leaves_out_our_tables_and_nothing_else(name: str) -> None:
    assert not include_name(name, "table", {})
    assert include_name("commwebsite", "table", {})
    assert include_name(name, "column", {})
    assert include_name(None, "schema", {})


def test_flask_migrate_that_was_set_up_before_gets_our_filter_unless_it_has_one() -> None:
    def mine(*_given: object) -> bool:
        return True

    for given, expected in (({}, include_name), ({"include_name": mine}, mine)):
        app = Flask("migrated")
        db = SQLAlchemy()
        app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
        db.init_app(app)
        Migrate(app, db, **given)
        spare_our_tables(app)
        assert app.extensions["migrate"].configure_args["include_name"] is expected
