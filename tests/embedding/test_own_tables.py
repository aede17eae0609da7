"""The host's own models, in the session commweb reports in."""

from __future__ import annotations

import pytest
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from commweb.database import TablesMissingError
from commweb.models import Change as Report
from tests.embedding.college import comm, db
from tests.embedding.college.models import Base, Change, Paper, Scholar
from tests.embedding.visiting import Open, Visitor


def reports() -> list[str]:
    return list(db.session.scalars(select(Report.course_id).order_by(Report.id)))


def test_a_report_is_committed_with_the_hosts_own_rows_in_both_its_databases(
    college: Open,
) -> None:
    number = college.write("Astronomy")
    with college.app.app_context():
        assert db.session.get(Paper, int(number)) is not None
        assert db.session.scalars(select(Change.words)).all() == ["Astronomy was written"]
        assert reports() == [number, number]


def test_a_report_is_rolled_back_with_the_hosts_own_rows(college: Open) -> None:
    with college.app.app_context():
        db.session.add(Scholar(handle="dunstan", called="Dunstan"))
        comm.course_changed("7")
        comm.person_changed("dunstan")
        db.session.rollback()
        assert reports() == []
        assert db.session.scalars(select(Scholar).filter_by(handle="dunstan")).all() == []


def test_a_commit_of_the_host_that_fails_takes_the_report_with_it(college: Open) -> None:
    with college.app.app_context():
        comm.course_changed("7")
        db.session.add(Scholar(handle="agnes", called="Another Agnes"))
        with pytest.raises(IntegrityError):
            db.session.commit()
        db.session.rollback()
        assert reports() == []


def test_reporting_neither_flushes_nor_commits_what_the_host_is_writing(college: Open) -> None:
    with college.app.app_context():
        half_done = Scholar(handle="dunstan", called="Dunstan")
        db.session.add(half_done)
        comm.course_changed("7")
        comm.course_created("8", provider=None)
        comm.course_deleted("9")
        comm.person_changed("dunstan")
        assert half_done in db.session.new
        assert not inspect(half_done).persistent


def test_neither_side_makes_the_others_tables(college: Open) -> None:
    ours = {name for name in Base.metadata.tables if name.startswith("commweb")}
    assert ours == set()
    with college.app.app_context():
        tables = set(inspect(db.engine).get_table_names())
        archive = set(inspect(db.engines["archive"]).get_table_names())
        db.drop_all()
        left = set(inspect(db.engine).get_table_names())
    assert {"paper", "scholar", "seat", "commweb_change", "commweb_alembic_version"} <= tables
    assert archive == {"change"}
    assert left == {name for name in tables if name.startswith("commweb_")}


def test_pages_of_ours_say_that_the_tables_were_not_made(college: Open) -> None:
    agnes = Visitor(college, "agnes")
    with college.app.app_context():
        db.session.execute(text("DROP TABLE commweb_setting"))
        db.session.commit()
    page = agnes.get("/communication/admin/")
    assert page.status_code == 503
    assert "Run `flask commweb upgrade`" in page.text
    result = college.app.test_cli_runner().invoke(args=["commweb", "sync"])
    assert (result.exit_code, "Run `flask commweb upgrade`" in result.output) == (1, True)


def test_a_table_of_somebody_else_that_is_missing_is_not_ours(college: Open) -> None:
    with (
        pytest.raises(OperationalError) as found,
        college.state.database.read() as connection,
    ):
        connection.execute(text("SELECT * FROM nowhere"))
    assert not isinstance(found.value, TablesMissingError)
