"""A template and a form of ours, replaced by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import ChoiceLoader, FileSystemLoader
from wtforms import ValidationError

from commweb.errors import MisuseError
from commweb.fields import BooleanField, PageForm
from commweb.providers import Registry, installed
from commweb.providers.matrix.forms import MatrixSettingsForm
from commweb.web.course_form import CourseForm
from commweb.web.experimental import ExperimentalForm
from tests.embedding.visiting import Open, Visitor, form_values, open_college, shown

ADMIN = "/communication/admin/"
MATRIX = "/communication/admin/communication/providers/matrix"


class CollegeMatrixForm(MatrixSettingsForm):
    """The college has one homeserver."""

    def validate_home_server_url(self, field) -> None:
        if not field.data.endswith("college.example"):
            raise ValidationError("The college uses matrix.college.example.")


class CollegeCourseForm(CourseForm):
    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.provider.label.text = "Where the paper talks"


class CollegeExperimentalForm(ExperimentalForm):
    communication_enabled = BooleanField("Let the college talk")


def override(college: Open, folder: Path, name: str, text: str) -> None:
    """Put a template into a folder of the host's templates."""
    place = folder / "own" / "commweb" / name
    place.parent.mkdir(parents=True)
    place.write_text(text)
    own = FileSystemLoader(folder / "own")
    college.app.jinja_loader = ChoiceLoader([own, college.app.jinja_loader])


def test_a_template_of_the_host_wins_over_ours_of_the_same_name(
    college: Open, agnes: Visitor, tmp_path: Path
) -> None:
    override(college, tmp_path, "admin.html", "Only: {{ menu.text }}")
    assert agnes.get(ADMIN).text == "Only: Site administration"
    assert "Experimental settings" in shown(agnes.get(f"{ADMIN}experimental"))


def test_a_template_of_the_host_may_build_on_our_page(
    college: Open, agnes: Visitor, tmp_path: Path
) -> None:
    text = (
        '{% extends "commweb/admin_page.html" %}'
        "{% block commweb_page %}<h1>{{ _('Site administration') }} of ours</h1>{% endblock %}"
    )
    override(college, tmp_path, "admin.html", text)
    page = agnes.get(ADMIN)
    assert "<h1>Site administration of ours</h1>" in page.text
    assert 'id="college-menu"' in page.text


def test_the_include_for_the_hosts_pages_can_be_replaced_too(
    college: Open, agnes: Visitor, tmp_path: Path
) -> None:
    number = college.write("Astronomy")
    text = "{% set told = commweb_course_status(course_id) %}<b>{{ told.status }}!</b>"
    override(college, tmp_path, "course_status.html", text)
    assert "<b>pending!</b>" in agnes.get(f"/papers/{number}").text


def test_a_providers_form_replaced_by_its_id_is_what_its_page_shows_and_checks(
    tmp_path: Path,
) -> None:
    with open_college(
        tmp_path / "college", registry=installed(), forms={"matrix": CollegeMatrixForm}
    ) as college:
        agnes = Visitor(college, "agnes")
        typed = {
            "home_server_url": "https://elsewhere.example",
            "element_web_url": "https://app.element.io",
            "access_token": "an-access-token",
            "refresh_token": "a-refresh-token",
        }
        page = agnes.send(MATRIX, **typed)
        assert page.status_code == 422
        assert "The college uses matrix.college.example." in shown(page)
        assert form_values(agnes.get(MATRIX).text)["home_server_url"] == ""
        page = agnes.send(f"{MATRIX}/sign-in", username="bot", password="secret", **typed)
        assert page.status_code == 422
        assert "The college uses matrix.college.example." in shown(page)


def test_the_forms_of_our_own_pages_are_replaced_by_name(tmp_path: Path) -> None:
    forms = {"course": CollegeCourseForm, "experimental": CollegeExperimentalForm}
    with open_college(tmp_path / "college", forms=forms) as college:
        number = college.write("Astronomy")
        agnes = Visitor(college, "agnes")
        page = agnes.get(f"/communication/courses/{number}/communication")
        assert "Where the paper talks" in shown(page)
        page = agnes.get(f"{ADMIN}experimental")
        assert "Let the college talk" in shown(page)
        assert agnes.send(f"{ADMIN}experimental", communication_enabled=None).status_code == 303
        with college.app.app_context():
            assert not college.state.subsystem_on()


def test_another_app_of_the_process_keeps_our_forms(tmp_path: Path) -> None:
    forms = {"experimental": CollegeExperimentalForm}
    with open_college(tmp_path / "a", forms=forms), open_college(tmp_path / "b") as plain:
        page = Visitor(plain, "agnes").get(f"{ADMIN}experimental")
    assert "Let the college talk" not in shown(page)


@pytest.mark.parametrize(
    ("forms", "sentence"),
    [
        ({"corse": CourseForm}, r"'corse', which commweb does not have. It has course, exper"),
        ({"course": PageForm}, "must be a class derived from commweb.web.course_form.CourseForm"),
        ({"course": "CourseForm"}, "must be a class derived from"),
    ],
)
def test_a_form_that_replaces_nothing_is_refused(tmp_path: Path, forms, sentence: str) -> None:
    with (
        pytest.raises(MisuseError, match=sentence),
        open_college(tmp_path / "college", registry=Registry([]), forms=forms),
    ):
        pass
