"""Which page a login or a refused form leads back to."""

from __future__ import annotations

import pytest

from commweb.site.paths import form_page, safe_path


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://elsewhere.example/",
        "//elsewhere.example",
        "/\\elsewhere.example",
        "\\\\elsewhere.example",
        "/\t/elsewhere.example",
        "/ok\r\nX-Header: 1",
        "javascript:alert(1)",
        "courses/",
        "",
        None,
        "/" + "a" * 3000,
    ],
)
def test_a_login_never_leads_to_another_site(elsewhere):
    assert safe_path(elsewhere) is None


@pytest.mark.parametrize(
    ("posted", "came_from", "page"),
    [
        ("/courses/1/edit", None, "/courses/1/edit"),
        ("/courses/1/enrol", "http://localhost/courses/1", "/courses/1"),
        ("/courses/1/enrol", "http://localhost/courses/1?a=b", "/courses/1?a=b"),
        ("/courses/1/enrol", None, None),
        ("/courses/1/enrol", "http://elsewhere.example/courses/1", None),
        ("/courses/1/enrol", "http://localhost/no/page", None),
        ("/courses/1/enrol", "http://localhost/courses/1/enrol", None),
        ("/courses/1/edit", "http://localhost/login", "/courses/1/edit"),
        ("/courses/1/enrol", "http://localhost//elsewhere.example/", None),
        ("/courses/1/enrol", "http://[", None),
        ("/logout", "http://localhost/courses/", "/courses/"),
    ],
)
def test_a_form_that_was_sent_leads_back_to_a_page_of_this_site(school, posted, came_from, page):
    headers = {"Referer": came_from} if came_from else {}
    with school.app.test_request_context(posted, method="POST", headers=headers):
        assert form_page() == page


def test_a_page_below_a_prefix_is_led_back_to_below_it(school):
    with school.app.test_request_context("/courses/1?a=b", base_url="http://localhost/site"):
        assert form_page() == "/site/courses/1?a=b"
    with school.app.test_request_context(
        "/courses/1/enrol",
        base_url="http://localhost/site",
        method="POST",
        headers={"Referer": "http://localhost/site/courses/1"},
    ):
        assert form_page() == "/site/courses/1"
