"""The pages of one app, assembled into one blueprint named ``commweb``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from flask import Blueprint

from commweb.errors import MisuseError
from commweb.fields import PageForm
from commweb.providers.declared import check_form
from commweb.state import State
from commweb.web import (
    account,
    admin,
    context,
    course,
    course_form,
    experimental,
    headers,
    provider_pages,
    providers,
    rooms,
)

__all__ = ["build_blueprint"]

PACKAGE = Path(__file__).parent.parent


def build_blueprint(state: State, api: Blueprint) -> Blueprint:
    """A new blueprint with every page of ``state``'s app; only ``api``, which knows no app, may
    serve several.

    Raises `MisuseError` when a provider has an id that a page of ours has already, for a form that
    replaces none of ours, and for one with a field that is kept nowhere.
    """
    _check_forms(state)
    blueprint = Blueprint(
        "commweb",
        "commweb",
        root_path=str(PACKAGE),
        template_folder="templates",
        static_folder="static",
        static_url_path="/_commweb/static",
    )
    context.add_to(blueprint, state)
    headers.send_headers(state.app)
    taken: set[str] = set()
    for child in _children(state, api):
        if child.name in taken:
            raise MisuseError(f"A communication provider cannot be named {child.name!r}.")
        taken.add(child.name)
        blueprint.register_blueprint(child)
    return blueprint


def _children(state: State, api: Blueprint) -> Iterator[Blueprint]:
    yield admin.build()
    yield experimental.build()
    yield providers.build()
    yield rooms.build()
    yield course.build()
    yield account.build()
    yield api
    for provider in state.registry:
        form_class = provider.settings_form()
        if form_class is not None:
            form_class = state.forms.get(provider.id, form_class)
            check_form(provider, form_class)
            yield provider_pages.build(provider, form_class)


def _check_forms(state: State) -> None:
    ours: dict[str, type[PageForm]] = {
        "course": course_form.CourseForm,
        "experimental": experimental.ExperimentalForm,
    }
    ours |= {p.id: form for p in state.registry if (form := p.settings_form()) is not None}
    for name, form in state.forms.items():
        if name not in ours:
            raise MisuseError(
                f"init_app(forms=...) names the form {name!r}, which commweb does not have. "
                f"It has {', '.join(sorted(ours))}."
            )
        if not (isinstance(form, type) and issubclass(form, ours[name])):
            raise MisuseError(
                f"The form {name!r} in init_app(forms=...) must be a class derived from "
                f"{ours[name].__module__}.{ours[name].__qualname__}, the form it replaces."
            )
