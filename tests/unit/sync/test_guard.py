"""What a plan may do to people without asking: counted by what happens, not by why."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from commweb.sync.guard import ANYTHING, GUARD_PEOPLE, MESSAGES, GuardFacts, Hold, guard


def people(count: int, start: int = 0) -> frozenset[str]:
    return frozenset(f"p{number:02}" for number in range(start, start + count))


def held(facts: GuardFacts) -> Hold:
    hold = guard(facts)
    assert hold is not None
    return hold


def test_half_of_ten_people_may_leave_unasked_and_more_than_half_may_not() -> None:
    assert guard(GuardFacts(people(10), people(5), wanted=5)) is None
    hold = held(GuardFacts(people(10), people(6), wanted=4))
    assert (hold.kind, hold.people) == ("removals", tuple(sorted(people(6))))
    assert hold.reason.startswith("6 of 10 people would be removed.")


def test_of_nine_people_eight_may_leave_unasked_but_not_all() -> None:
    assert guard(GuardFacts(people(9), people(8), wanted=1)) is None
    assert held(GuardFacts(people(9), people(9), wanted=9)).kind == "removals"


def test_everybody_whose_account_is_none_is_asked_for_although_the_course_wants_them() -> None:
    hold = held(GuardFacts(people(21), people(21), wanted=21))
    assert len(hold.people) == 21


def test_the_only_one_inside_may_be_exchanged_for_another() -> None:
    assert guard(GuardFacts(people(1), people(1), wanted=1)) is None


def test_a_course_that_reads_as_empty_is_held_whatever_its_size() -> None:
    for count in (1, 3, 40):
        hold = held(GuardFacts(people(count), people(count)))
        assert (hold.kind, len(hold.people)) == ("empty", count)


def test_a_course_whose_people_are_all_suspended_does_not_read_as_empty() -> None:
    assert guard(GuardFacts(people(1), people(1), away=1)) is None


def test_people_who_left_within_the_day_count_with_those_who_leave_now() -> None:
    facts = GuardFacts(people(15, 5), people(6, 5), left_lately=people(5), wanted=9)
    hold = held(facts)
    assert hold.people == tuple(sorted(people(6, 5)))
    assert hold.reason.startswith("11 of 20 people would be removed within a day.")
    fewer = GuardFacts(people(15, 5), people(5, 5), left_lately=people(5), wanted=10)
    assert guard(fewer) is None


def test_somebody_who_left_within_the_day_and_is_inside_again_has_not_left() -> None:
    assert guard(GuardFacts(people(20), people(10), left_lately=people(20), wanted=10)) is None


def test_guests_who_would_be_removed_count() -> None:
    guests = frozenset(f"@guest{number}:sim" for number in range(7))
    hold = held(GuardFacts(people(5), others_leaving=guests, wanted=5))
    assert hold.people == tuple(sorted(guests))
    assert hold.reason.startswith("7 of 12 people")


def test_a_course_that_is_gone_without_a_report_is_held_and_says_so() -> None:
    hold = held(GuardFacts(people(3), people(3), course_gone="unreported", closing=True))
    assert hold.kind == "course_gone"
    assert hold.reason.startswith("The site no longer has this course.")


def test_a_course_whose_deletion_was_reported_is_closed_unasked() -> None:
    gone = GuardFacts(people(30), people(30), deletes_messages=True, closing=True)
    for reported in (
        GuardFacts(**{**vars(gone), "course_gone": "reported"}),
        GuardFacts(**{**vars(gone), "reported_deletion": True}),
        GuardFacts(**{**vars(gone), "confirmed": frozenset({ANYTHING})}),
    ):
        assert guard(reported) is None


def test_a_room_that_is_closed_without_a_report_asks_for_everybody_in_it() -> None:
    hold = held(GuardFacts(people(2), people(2), wanted=0, away=1, closing=True))
    assert (hold.kind, len(hold.people)) == ("removals", 2)
    assert hold.reason.startswith("The room is no longer wanted: 2 people")


def test_a_room_nobody_of_ours_is_in_is_closed_unasked_but_not_deleted() -> None:
    assert guard(GuardFacts(course_gone="unreported", closing=True)) is None
    hold = held(GuardFacts(deletes_messages=True, members=3, closing=True))
    assert (hold.kind, hold.people) == ("deletion", (MESSAGES,))
    assert "with 3 people and its messages" in hold.reason


def test_a_confirmation_covers_the_people_it_named_and_no_others() -> None:
    named = GuardFacts(people(20), people(18), wanted=2, confirmed=people(12))
    assert held(named).people == tuple(sorted(people(6, 12)))
    after = GuardFacts(people(8, 12), people(6, 12), left_lately=people(12), wanted=2)
    assert held(after).people == tuple(sorted(people(6, 12)))
    all_named = GuardFacts(people(20), people(18), wanted=2, confirmed=people(18))
    assert guard(all_named) is None


def test_who_confirmed_removals_did_not_confirm_that_messages_are_deleted() -> None:
    facts = GuardFacts(
        people(2), people(2), deletes_messages=True, confirmed=people(2), closing=True
    )
    assert held(facts).people == (MESSAGES,)
    both = GuardFacts(**{**vars(facts), "confirmed": people(2) | {MESSAGES}})
    assert guard(both) is None


def test_people_are_named_in_the_order_of_their_names() -> None:
    names = {"p00": "Zoe", "p01": "ada", "p02": "Bob"}
    hold = held(GuardFacts(people(3), people(3), names=names))
    assert hold.people == ("p01", "p02", "p00")


PEOPLE = st.frozensets(st.sampled_from(sorted(people(24))))


@given(PEOPLE, PEOPLE, PEOPLE, PEOPLE, st.integers(0, 20), st.booleans())
def test_no_room_loses_most_of_its_people_without_being_asked_for_each_of_them(
    inside: frozenset[str],
    leaving: frozenset[str],
    lately: frozenset[str],
    confirmed: frozenset[str],
    wanted: int,
    closing: bool,
) -> None:
    leaving &= inside
    facts = GuardFacts(
        inside, leaving, left_lately=lately, wanted=wanted, confirmed=confirmed, closing=closing
    )
    hold = guard(facts)
    waiting = frozenset(hold.people) if hold else frozenset()
    assert waiting <= leaving - confirmed
    out = (leaving - waiting - confirmed) | (lately - inside)
    everybody = inside | lately
    if len(everybody) >= GUARD_PEOPLE:
        unasked = leaving - waiting - confirmed
        assert not unasked or len(out) * 2 <= len(everybody)
