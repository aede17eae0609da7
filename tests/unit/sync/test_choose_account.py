"""Whose account it is: the rule by itself."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commweb.sync.choose_account import (
    CLAIM,
    CREATED,
    EXTERNAL_ID,
    HOST,
    INTENDED,
    LINKED,
    NAMED,
    ORDER,
    PROVEN,
    REFUSED,
    TRUSTED_NAME,
    Candidate,
    Facts,
    Found,
    choose_account,
    gives_way,
    judge_found,
)

OWN = "@bot:sim"
ORIGINS = (*ORDER, REFUSED)


def chosen(*candidates: Candidate, **facts: object) -> tuple[str | None, str]:
    choice = choose_account(Facts(candidates, OWN, **facts))  # type: ignore[arg-type]
    return choice.user_id, choice.origin


@pytest.mark.parametrize(("first", "second"), list(combinations(ORDER, 2)))
def test_the_better_reason_wins_whatever_the_order_of_the_candidates(
    first: str, second: str
) -> None:
    better, worse = Candidate("@a:sim", first), Candidate("@b:sim", second)
    expected = ("@b:sim", INTENDED) if first == NAMED else ("@a:sim", first)
    assert chosen(better, worse) == chosen(worse, better) == expected


def test_an_account_that_only_has_the_name_is_not_theirs() -> None:
    choice = choose_account(Facts((Candidate("@ada:sim", NAMED),), OWN, waits="Prove it."))
    assert (choice.user_id, choice.reason) == (None, "Prove it.")


def test_where_names_are_trusted_it_is_looked_at_again() -> None:
    assert chosen(Candidate("@ada:sim", NAMED), trust_names=True) == ("@ada:sim", INTENDED)


def test_what_is_known_to_be_unusable_never_outranks_what_works() -> None:
    broken = Candidate("ada", HOST, "The account ada is not a valid user ID.")
    choice = choose_account(Facts((broken, Candidate("@ada:sim", CREATED)), OWN))
    assert (choice.user_id, choice.origin) == ("@ada:sim", CREATED)
    assert choice.reason == "The account ada is not a valid user ID."


def test_a_new_rule_does_not_take_away_the_account_in_use() -> None:
    away = Candidate("@ada:away", HOST, "Rooms are not federated.")
    spare = Candidate("@ada:sim", CREATED)
    assert chosen(away, spare, in_use="@ada:away") == ("@ada:away", HOST)


def test_a_claim_never_takes_a_server_administrators_account() -> None:
    assert chosen(Candidate("@root:sim", CLAIM, admin=True)) == (None, "")


def test_a_proof_takes_an_account_from_everybody_who_has_not_proven_it() -> None:
    assert [origin for origin in ORIGINS if not gives_way(origin, PROVEN)] == [PROVEN]


@pytest.mark.parametrize("to", [HOST, EXTERNAL_ID])
def test_what_the_host_says_takes_only_what_was_guessed(to: str) -> None:
    kept = [origin for origin in ORIGINS if not gives_way(origin, to)]
    assert kept == [PROVEN, LINKED, HOST, EXTERNAL_ID, CREATED]


@given(
    st.lists(
        st.builds(
            Candidate,
            user_id=st.sampled_from([OWN, "@a:sim", "@b:sim", "@c:sim"]),
            origin=st.sampled_from(ORIGINS),
            problem=st.sampled_from(["", "No."]),
            owner=st.sampled_from(["", "bob"]),
            owner_origin=st.sampled_from(ORIGINS),
            admin=st.booleans(),
        )
    ),
    st.booleans(),
)
def test_no_rule_gives_out_the_acting_account_or_what_is_somebody_elses(
    candidates: list[Candidate], trust: bool
) -> None:
    choice = choose_account(Facts(tuple(candidates), OWN, trust_names=trust))
    assert choice.user_id != OWN
    if choice.user_id is None:
        return
    reasons = {NAMED: INTENDED} if trust else {}
    # Some of them may differ only in what the choice does not tell.
    sources = [
        one
        for one in candidates
        if one.user_id == choice.user_id
        and reasons.get(one.origin, one.origin) == choice.origin
        and one.owner == choice.takes_from
        and not one.problem
    ]
    assert any(not one.owner or gives_way(one.owner_origin, one.origin) for one in sources)


@pytest.mark.parametrize(
    ("found", "asked", "trusted"),
    [
        (Found("@a:sim"), NAMED, TRUSTED_NAME),
        (Found("@a:sim", admin=True), NAMED, NAMED),
        (Found("@a:sim", deactivated=True), NAMED, NAMED),
        (Found("@a:sim", locked=True), NAMED, NAMED),
        (Found("@a:sim", admin=True, external_id=True), EXTERNAL_ID, EXTERNAL_ID),
        (Found("@a:sim", ours=True), CREATED, CREATED),
        (Found("@a:sim", ours=True, admin=True), NAMED, NAMED),
        (Found("@a:sim", foreign=True, external_id=True), REFUSED, REFUSED),
    ],
)
def test_an_account_found_under_a_name_is_theirs_only_for_a_reason(
    found: Found, asked: str, trusted: str
) -> None:
    assert judge_found(found, trust_names=False) == asked
    assert judge_found(found, trust_names=True) == trusted
