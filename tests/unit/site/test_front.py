"""The names the site answers to, and what proxies and visitors say about themselves."""

from __future__ import annotations

import pytest
import waitress
from flask import request
from werkzeug.test import Client

from app import create_app
from commweb.site.front import server_options


@pytest.mark.parametrize("path", ["/courses", "/courses/", "/", "/admin", "/people", "//courses"])
def test_no_redirect_carries_the_host_header(make_site, path):
    with make_site(TRUSTED_HOSTS="elsewhere.example") as app:
        answer = app.test_client().get(path, headers={"Host": "elsewhere.example:81"})
        assert 300 <= answer.status_code < 400
        assert answer.headers["Location"].startswith("/")
        assert "elsewhere.example" not in answer.headers["Location"]
        assert "elsewhere.example" not in answer.text.replace("elsewhere.example:81/", "")


def test_a_missing_slash_is_added_and_the_query_stays(school):
    answer = school.browser("admin").get("/courses?a=b")
    assert (answer.status_code, answer.location) == (308, "/courses/?a=b")


@pytest.mark.parametrize("host", ["elsewhere.example", "127.0.0.1.elsewhere.example", "a b", "["])
def test_another_name_is_refused_in_words_and_never_repeated(school, host):
    for path in ("/courses", "/login", "/nothing"):
        answer = school.app.test_client().get(path, headers={"Host": host})
        assert answer.status_code == 400
        assert "FLASK_TRUSTED_HOSTS" in answer.text
        assert host not in answer.text


def test_a_form_sent_to_another_name_is_refused_as_well(school):
    answer = school.app.test_client().post(
        "/login", headers={"Host": "elsewhere.example"}, data={"username": "admin"}
    )
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("config", "host", "code"),
    [
        ({}, "localhost:5000", 200),
        ({}, "127.0.0.1:5000", 200),
        ({"SITE_URL": "https://courses.example"}, "courses.example", 200),
        ({"SITE_URL": "https://courses.example"}, "www.courses.example", 400),
        ({"TRUSTED_HOSTS": "a.example, .b.example"}, "a.example", 200),
        ({"TRUSTED_HOSTS": ["a.example", ".b.example"]}, "c.b.example", 200),
        ({"TRUSTED_HOSTS": "a.example"}, "localhost", 400),
    ],
)
def test_the_site_answers_to_its_own_names(make_site, config, host, code):
    with make_site(**config) as app:
        assert app.test_client().get("/login", headers={"Host": host}).status_code == code


def test_names_and_proxies_come_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASK_TRUSTED_HOSTS", "courses.example")
    monkeypatch.setenv("FLASK_TRUSTED_PROXIES", "2")
    app = create_app({"INSTANCE": str(tmp_path), "COMMWEB_QUEUE_URL": "inline"})
    assert app.config["TRUSTED_HOSTS"] == ["courses.example"]
    assert app.config["TRUSTED_PROXIES"] == 2


@pytest.mark.parametrize("number", ["one", "-1", 1.5, True, "127.0.0.1"])
def test_proxies_that_are_no_number_are_told_at_the_start(tmp_path, number):
    with pytest.raises(RuntimeError, match="number of proxies"):
        create_app({"INSTANCE": str(tmp_path), "TRUSTED_PROXIES": number})


@pytest.mark.parametrize(("proxies", "secure"), [(0, False), (1, True)])
def test_the_scheme_a_proxy_tells_is_believed_of_a_trusted_one_only(make_site, proxies, secure):
    with make_site(TRUSTED_PROXIES=proxies) as app:
        seen = []
        app.before_request(lambda: seen.append(request.is_secure))
        app.test_client().get("/login", headers={"X-Forwarded-Proto": "https"})
        assert seen == [secure]


def test_a_forwarded_host_is_never_believed(make_site):
    with make_site(TRUSTED_PROXIES=1) as app:
        headers = {"X-Forwarded-Host": "elsewhere.example"}
        assert app.test_client().get("/login", headers=headers).status_code == 200


@pytest.mark.parametrize(("proxies", "seen"), [(0, "127.0.0.1"), (1, "192.0.2.1")])
def test_the_server_hands_on_what_a_trusted_proxy_says_and_nothing_else(make_site, proxies, seen):
    with make_site(TRUSTED_PROXIES=proxies) as app:
        app.add_url_rule("/who", view_func=lambda: str(request.remote_addr))
        server = waitress.create_server(app, host="127.0.0.1", port=0, **server_options(app))
        try:
            # What waitress calls for each request, with its own changes to the headers.
            answer = Client(server.application).get(
                "/who",
                headers={"X-Forwarded-For": "203.0.113.9, 192.0.2.1"},
                environ_base={"REMOTE_ADDR": "127.0.0.1", "REMOTE_HOST": "127.0.0.1"},
            )
            assert answer.text == seen
        finally:
            server.close()
