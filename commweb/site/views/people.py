"""The people of the site, for administrators."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from commweb.site import comm, db
from commweb.site.forms import NewPersonForm, PersonForm
from commweb.site.login import administrators, somebody
from commweb.site.models import User
from commweb.site.passwords import passwords

__all__ = ["blueprint"]

blueprint = Blueprint("people", __name__)


@blueprint.route("/people", methods=["GET", "POST"])
@administrators
def index() -> ResponseReturnValue:
    form = NewPersonForm()
    if form.validate_on_submit():
        user = User(form.username.data, form.full_name.data)
        if form.password.data:
            user.set_password_hash(passwords().hash(form.password.data))
        if _add(user):
            flash(_("%(name)s was created.", name=user.full_name), "success")
            return redirect(url_for("people.index"), 303)
        form.username.errors = [_("Another person has this user name.")]
    everybody = db.session.scalars(select(User).order_by(User.full_name, User.id)).all()
    page = render_template("people/index.html", form=form, people=everybody)
    return page, 422 if form.errors else 200


def _add(user: User) -> bool:
    """Store the person. False: the user name is taken."""
    taken = select(User.id).where(User.username_folded == user.username_folded)
    if db.session.scalar(taken) is not None:
        return False
    try:
        db.session.add(user)
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        return False
    return True


@blueprint.route("/people/<int:person_id>/edit", methods=["GET", "POST"])
@administrators
def edit(person_id: int) -> ResponseReturnValue:
    user = db.get_or_404(User, person_id)
    form = PersonForm(full_name=user.full_name)
    if form.validate_on_submit():
        user.full_name = form.full_name.data
        if form.password.data:
            user.set_password_hash(passwords().hash(form.password.data))
        comm.person_changed(str(user.id))
        db.session.commit()
        flash(_("Changes saved"), "success")
        return redirect(url_for("people.index"), 303)
    page = render_template("people/edit.html", form=form, person=user)
    return page, 422 if form.errors else 200


@blueprint.post("/people/<int:person_id>/suspend")
@administrators
def suspend(person_id: int) -> ResponseReturnValue:
    user = db.get_or_404(User, person_id)
    if user.id == somebody().id:
        flash(_("You cannot suspend yourself."), "danger")
        return redirect(url_for("people.index"), 303)
    return _set_active(user, False, _("%(name)s was suspended.", name=user.full_name))


@blueprint.post("/people/<int:person_id>/reinstate")
@administrators
def reinstate(person_id: int) -> ResponseReturnValue:
    user = db.get_or_404(User, person_id)
    return _set_active(user, True, _("%(name)s was reinstated.", name=user.full_name))


def _set_active(user: User, active: bool, message: str) -> ResponseReturnValue:
    user.set_active(active)
    comm.person_changed(str(user.id))
    db.session.commit()
    flash(message, "success")
    return redirect(url_for("people.index"), 303)
