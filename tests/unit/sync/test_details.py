"""What is recorded of name, topic, picture and read-only, and what was set by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from commweb.providers.rooms import Picture, SetPicture
from commweb.sync.details import details
from commweb.sync.known import Applied, Intended, Policy, Target
from tests.unit.sync.given import LAST, PICTURE, ROOM, observed


def wanted(**more: Any) -> Target:
    return Target(replace(ROOM, **more), ())


SHOWN = observed(picture_uri="mxc://0")


def test_what_is_about_to_be_written_is_recorded_as_intended() -> None:
    target = wanted(name="Geometry", topic="Shapes", picture=PICTURE, read_only=True)
    found = details(target, LAST, SHOWN, Policy())
    # The picture's URI is known, and recorded, once it is uploaded.
    coming = Intended("Geometry", "Shapes", read_only=True)
    assert found.record == replace(LAST, intended=coming, open_level=0)
    assert (found.read_only, found.kept) == (True, ())


def test_what_arrived_is_recorded_as_applied() -> None:
    coming = Intended("Geometry", "Shapes", "d1", "mxc://1", True)
    room = observed(name="Geometry", topic="Shapes", picture_uri="mxc://1", read_only=True)
    found = details(wanted(name="New", topic="New"), replace(LAST, intended=coming), room, Policy())
    assert found.record == Applied(
        "Geometry",
        "Shapes",
        "d1",
        "mxc://1",
        {},
        read_only=False,
        intended=Intended("New", "New", "", "", read_only=False),
        open_level=0,
    )
    assert SetPicture(None) in found.actions
    assert found.read_only is False


def test_what_equals_the_course_is_recorded_as_applied() -> None:
    room = observed(picture_uri=None, read_only=True)
    found = details(wanted(read_only=True), Applied("x", "y"), room, Policy())
    assert found.record == Applied("Algebra", "Numbers", read_only=True, open_level=50)
    assert found.actions == ()


def test_what_was_set_by_hand_leaves_the_record_as_it_was() -> None:
    hand = observed(name="H", topic="H", picture_uri="mxc://h", read_only=True)
    found = details(wanted(name="Geometry", picture=PICTURE), LAST, hand, Policy())
    assert found.record == LAST
    assert (found.actions, found.read_only) == ((), None)
    assert found.kept == (
        "The name was set by hand.",
        "The topic was set by hand.",
        "The picture was set by hand.",
        "Posting permissions were changed in the chat.",
    )
    over = details(wanted(picture=PICTURE), LAST, hand, Policy(respect_hand_changes=False))
    assert (over.kept, len(over.actions), over.read_only) == ((), 3, False)
    coming = Intended("Algebra", "Numbers", read_only=False)
    assert over.record == replace(LAST, intended=coming, open_level=0)


def test_a_picture_that_arrived_is_recorded_though_nothing_is_to_be_done() -> None:
    coming = replace(LAST, intended=Intended(picture_digest="d1", picture_uri="mxc://1"))
    found = details(
        wanted(picture=PICTURE), coming, observed(picture_uri="mxc://1"), Policy()
    )  # fmt: skip
    assert found.actions == ()
    assert (found.record.picture_digest, found.record.picture_uri) == ("d1", "mxc://1")


def test_an_uploaded_picture_is_not_uploaded_again() -> None:
    same = Picture("d0", "image/png", lambda: b"")
    by_hand = observed(picture_uri="mxc://h")
    found = details(wanted(picture=same), LAST, by_hand, Policy(respect_hand_changes=False))
    assert found.actions == (SetPicture(same, "mxc://0"),)
    assert found.record.intended == Intended(picture_digest="d0", picture_uri="mxc://0")
    coming = replace(LAST, intended=Intended(picture_digest="d1", picture_uri="mxc://1"))
    found = details(wanted(picture=PICTURE), coming, SHOWN, Policy())
    assert found.actions == (SetPicture(PICTURE, "mxc://1"),)
    assert (found.record.picture_digest, found.record.picture_uri) == ("d0", "mxc://0")


def test_a_picture_being_cleared_is_ours_when_it_is_gone() -> None:
    clearing = replace(LAST, intended=Intended(picture_digest="", picture_uri=""))
    found = details(wanted(picture=PICTURE), clearing, observed(), Policy())
    assert found.actions == (SetPicture(PICTURE),)
    assert (found.record.picture_digest, found.record.picture_uri) == (None, None)


def test_a_picture_whose_address_is_not_known_is_set_again() -> None:
    found = details(wanted(picture=PICTURE), Applied("Algebra", "Numbers", "d1"), SHOWN, Policy())
    assert found.kept == ("The picture was set by hand.",)
    found = details(
        wanted(picture=PICTURE), Applied("Algebra", "Numbers", "d1"), observed(), Policy()
    )
    assert found.actions == (SetPicture(PICTURE),)


def test_a_room_about_to_be_made_may_have_been_made_with_what_was_intended_before() -> None:
    coming = replace(LAST, intended=Intended("Old", "Old topic"))
    found = details(wanted(read_only=True, picture=PICTURE), coming, None, Policy())
    assert found.record == Applied(
        "Old",
        "Old topic",
        read_only=False,
        intended=Intended("Algebra", "Numbers", read_only=True, invite_level=0),
    )
    assert (found.actions, found.read_only) == ((SetPicture(PICTURE),), True)
    again = details(wanted(), replace(LAST, read_only=True), None, Policy())
    assert again.record.read_only is False
    assert (again.record.name, again.record.topic) == ("Algebra", "Numbers")
    assert again.record.intended == Intended("Algebra", "Numbers", read_only=False, invite_level=0)
    assert (again.actions, again.read_only) == ((), None)
