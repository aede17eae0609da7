"""Failed logins are slowed down, and nobody can lock others out."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from commweb.site.seed import seed
from tests.unit.site.conftest import ADMIN_PASSWORD, PEOPLE_PASSWORD, Browser


class Visitor(Browser):
    """Comes from an address of its own."""

    def __init__(self, app, address="127.0.0.1"):
        super().__init__(app)
        self.client.environ_base["REMOTE_ADDR"] = address


@pytest.fixture
def seeded(make_site):
    @contextmanager
    def seeded(**config):
        with make_site(**config) as app:
            seed(app, ADMIN_PASSWORD, PEOPLE_PASSWORD)
            yield app

    return seeded


def failures(app, names, address="127.0.0.1"):
    return [Visitor(app, address).login(name, "wrong").status_code for name in names]


def test_too_many_failures_are_told_how_long_to_wait(seeded):
    with seeded(LOGIN_LIMIT="3 per minute") as app:
        assert failures(app, ["teacher1"] * 3) == [422] * 3
        answer = Visitor(app).login("TEACHER1")
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["Retry-After"]) <= 61
        assert "Too many attempts" in answer.text
        assert "There were too many failed attempts to log in. Try again in" in answer.text
        assert Visitor(app).login("teacher2").status_code == 303, "another name is not held up"


def test_a_wait_of_minutes_is_said_in_minutes(seeded):
    with seeded(LOGIN_LIMIT="1 per hour") as app:
        failures(app, ["teacher1"])
        text = Visitor(app).login("teacher1").text
        assert "Try again in 60 minutes." in text or "Try again in 61 minutes." in text


@pytest.mark.parametrize("names", [["student1"] * 60, [f"student{n}" for n in range(60)]])
def test_sixty_failures_a_minute_from_one_address_lock_nobody_else_out(seeded, names):
    with seeded() as app:
        failures(app, names)
        assert Visitor(app).login("teacher1").status_code == 303


def test_ever_new_names_from_one_address_are_limited_and_other_addresses_go_on(seeded):
    with seeded(LOGIN_LIMIT_BY_ADDRESS="4 per minute") as app:
        assert failures(app, [f"name{n}" for n in range(6)]) == [422] * 4 + [429] * 2
        assert Visitor(app, "192.0.2.7").login("teacher1").status_code == 303


def test_one_account_guessed_from_ever_new_addresses_is_limited_too(seeded):
    with seeded(LOGIN_LIMIT_BY_ACCOUNT="4 per minute") as app:
        codes = [failures(app, ["teacher1"], f"192.0.2.{n}")[0] for n in range(6)]
        assert codes == [422] * 4 + [429] * 2
        assert Visitor(app, "192.0.2.200").login("teacher2").status_code == 303


def test_one_address_alone_cannot_use_up_the_attempts_of_an_account(seeded):
    with seeded() as app:
        failures(app, ["teacher1"] * 60)
        assert Visitor(app, "192.0.2.7").login("teacher1").status_code == 303


def test_the_addresses_of_one_ipv6_network_count_together(seeded):
    with seeded(LOGIN_LIMIT="2 per minute") as app:
        codes = [failures(app, ["teacher1"], f"2001:db8::{n}")[0] for n in range(1, 5)]
        assert codes == [422, 422, 429, 429]
        assert failures(app, ["teacher1"], "2001:db8:0:1::1") == [422]


def test_a_browser_that_logged_in_before_is_not_held_up_by_the_guesses_of_others(seeded):
    limits = {
        "LOGIN_LIMIT": "2 per minute",
        "LOGIN_LIMIT_BY_ACCOUNT": "2 per minute",
        "LOGIN_LIMIT_BY_ADDRESS": "2 per minute",
    }
    with seeded(**limits) as app:
        own = Visitor(app)
        own.login("teacher1")
        own.post("/logout")
        assert failures(app, ["teacher1"] * 3) == [422, 422, 429]
        assert Visitor(app).login("teacher1").status_code == 429
        assert own.login("teacher1").status_code == 303
        own.post("/logout")
        assert own.login("teacher2").status_code == 429, "it is known for its own account only"


def test_a_browser_that_logged_in_before_may_not_guess_without_end(seeded):
    with seeded(LOGIN_LIMIT="2 per minute") as app:
        own = Visitor(app)
        own.login("teacher1")
        own.post("/logout")
        assert [own.login("teacher1", "wrong").status_code for _ in range(4)] == [422] * 2 + [
            429
        ] * 2


def test_the_mark_of_a_browser_names_no_account_and_cannot_be_made_up(seeded):
    with seeded(LOGIN_LIMIT_BY_ADDRESS="1 per minute") as app:
        cookie = Visitor(app).login("teacher1").headers.getlist("Set-Cookie")
        (mark,) = [each for each in cookie if each.startswith("known=")]
        assert "teacher1" not in mark
        assert "HttpOnly" in mark
        failures(app, ["teacher1"])
        forger = Visitor(app)
        forger.client.set_cookie("known", "made.up")
        assert forger.login("teacher1").status_code == 429


def test_good_logins_are_not_counted(seeded):
    with seeded(LOGIN_LIMIT="2 per minute") as app:
        for _ in range(5):
            assert Visitor(app).login("teacher1").status_code == 303


def test_two_sites_in_one_process_count_apart(make_site):
    with make_site("one", LOGIN_LIMIT="1 per minute") as one, make_site("two") as two:
        assert failures(one, ["teacher1"] * 2) == [422, 429]
        assert failures(two, ["teacher1"]) == [422]


def with_forwarded(app, chain, name="teacher1"):
    browser = Visitor(app)
    browser.client.environ_base["HTTP_X_FORWARDED_FOR"] = chain
    return browser.login(name, "wrong").status_code


def test_a_forwarded_address_changes_nothing_without_a_trusted_proxy(seeded):
    with seeded(LOGIN_LIMIT="2 per minute") as app:
        codes = [with_forwarded(app, f"192.0.2.{n}") for n in range(4)]
        assert codes == [422, 422, 429, 429]


def test_behind_a_trusted_proxy_each_visitor_counts_alone(seeded):
    with seeded(LOGIN_LIMIT="1 per minute", TRUSTED_PROXIES="1") as app:
        assert [with_forwarded(app, f"192.0.2.{n}") for n in range(3)] == [422] * 3
        # What a visitor writes in front of what the proxy adds is not believed.
        assert with_forwarded(app, "203.0.113.9, 192.0.2.1") == 429
