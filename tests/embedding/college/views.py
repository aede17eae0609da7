"""The college's own pages. It had blueprints named api and admin before commweb came."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Flask, flash, jsonify, redirect, render_template, request, session
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from commweb import Person
from tests.embedding.college import comm, db
from tests.embedding.college.host import College, as_person
from tests.embedding.college.models import Change, Paper, Scholar, Seat


def register(app: Flask) -> None:
    for blueprint in _blueprints():
        app.register_blueprint(blueprint)
    app.cli.command("settle")(settle)
    app.context_processor(_menu)
    app.register_error_handler(404, lambda _error: ("The college has no such page.", 404))


def _blueprints() -> tuple[Blueprint, ...]:
    door = Blueprint("door", __name__)
    door.add_url_rule("/door", "open", open_door, methods=["GET", "POST"])
    papers = Blueprint("papers", __name__, url_prefix="/papers")
    papers.add_url_rule("/", "index", index)
    papers.add_url_rule("/", "write", write, methods=["POST"])
    papers.add_url_rule("/<int:number>", "show", show)
    admin = Blueprint("admin", __name__, url_prefix="/wardens")
    admin.add_url_rule("/", "index", lambda: "The wardens' page.")
    api = Blueprint("api", __name__, url_prefix="/machines")
    api.add_url_rule("/room", "room", lambda: jsonify(own=True), methods=["POST"])
    return door, papers, admin, api


def _visitor() -> Person | None:
    return College().current_person()


def _menu() -> dict[str, Any]:
    return {"communication_menu": comm.navigation(_visitor())}


def open_door() -> ResponseReturnValue:
    if request.method == "GET":
        return render_template("door.html")
    scholar = db.session.scalar(select(Scholar).filter_by(handle=request.form["handle"]))
    if scholar is None:
        return render_template("door.html"), 422
    session["scholar"] = scholar.id
    flash("Come in.", "greeting")
    return redirect(request.args.get("back") or "/papers/", 303)


def index() -> ResponseReturnValue:
    return render_template("papers.html", papers=db.session.scalars(select(Paper)).all())


def write() -> ResponseReturnValue:
    paper = write_paper(request.form["title"])
    return redirect(f"{request.script_root}/papers/{paper.number}", 303)


def write_paper(title: str) -> Paper:
    """A paper, its author's seat, a line in the archive and the report: one transaction."""
    person = _visitor() if request else None
    author = person.id if person else db.session.scalar(select(Scholar.id).order_by(Scholar.handle))
    paper = Paper(title=title, seats=[Seat(scholar_id=author, lectures=True)])
    db.session.add_all([paper, Change(words=f"{title} was written")])
    db.session.flush()
    comm.course_created(str(paper.number))
    db.session.commit()
    return paper


def show(number: int) -> ResponseReturnValue:
    paper = db.get_or_404(Paper, number)
    told = comm.course_status(str(number), _visitor())
    return render_template("paper.html", paper=paper, told=told)


def settle() -> None:
    """The first people of the college, who want to communicate."""
    db.session.add_all(
        [
            Scholar(handle="agnes", called="Agnes Warden", warden=True),
            Scholar(handle="bede", called="Bede Lecturer"),
            Scholar(handle="cuthbert", called="Cuthbert Student"),
        ]
    )
    db.session.commit()
    comm.set_enabled(True)


__all__ = ["as_person", "register", "settle", "write_paper"]
