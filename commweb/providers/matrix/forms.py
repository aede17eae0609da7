"""The Matrix settings form."""

from __future__ import annotations

from typing import ClassVar

from commweb.fields import (
    BooleanField,
    HttpUrl,
    HttpUrlField,
    PlainText,
    RequiredSecret,
    SecretField,
    SelectField,
    SettingsForm,
    StringField,
    required,
)
from commweb.i18n import lazy_gettext as _

__all__ = ["MatrixSettingsForm"]


class MatrixSettingsForm(SettingsForm):
    """What an admin enters once. ``advanced`` names the fields that may stay as they are."""

    server_field = "home_server_url"
    advanced: ClassVar[tuple[str, ...]] = (
        "federate",
        "encrypt",
        "history_visibility",
        "closing_rule",
        "sso_provider_id",
        "respect_hand_changes",
    )

    home_server_url = HttpUrlField(
        _("Home server URL"),
        validators=[required(), HttpUrl()],
        description=_(
            "Where the homeserver answers, for example https://matrix.example.org. It is the "
            "address that whoever runs the homeserver gives to Matrix apps."
        ),
    )
    access_token = SecretField(
        _("Access token"),
        validators=[RequiredSecret()],
        description=_(
            "What the site signs its requests with. It has to belong to a server administrator. "
            "“Sign in to get tokens” gets it for you."
        ),
    )
    refresh_token = SecretField(
        _("Refresh token"),
        validators=[RequiredSecret()],
        description=_(
            "What the site gets the next access token with. Matrix apps do not show it: use "
            "“Sign in to get tokens”. No other program may use the same pair."
        ),
    )
    element_web_url = HttpUrlField(
        _("Element web URL"),
        validators=[required(), HttpUrl()],
        description=_(
            "Where people open their rooms in a browser, for example https://app.element.io or "
            "your own Element."
        ),
    )
    create_rooms_for_new_courses = BooleanField(
        _("Create rooms for new courses"),
        description=_("A new course gets a room unless its author chooses otherwise."),
    )
    federate = BooleanField(
        _("Federate new rooms"),
        description=_(
            "People of other homeservers can be members. It cannot be changed for a room later."
        ),
    )
    encrypt = BooleanField(
        _("Encrypt new rooms"),
        description=_(
            "Messages are encrypted from end to end. People who join later cannot read what was "
            "written before. It cannot be changed for a room later."
        ),
    )
    history_visibility = SelectField(
        _("Who can read the history of new rooms"),
        choices=[
            ("shared", _("Members, everything")),
            ("invited", _("Members, from their invitation on")),
            ("joined", _("Members, from their joining on")),
        ],
        description=_("Later it can be changed in the room itself."),
    )
    closing_rule = SelectField(
        _("When a course no longer needs its room"),
        choices=[
            ("remove_members", _("Remove the people that the course put there")),
            ("delete_room", _("Delete the room and its messages")),
            ("leave", _("Leave the room as it is")),
        ],
        description=_("What happens when a course is deleted or chooses another provider."),
    )
    sso_provider_id = StringField(
        _("Single sign-on provider ID"),
        filters=[lambda text: text.strip() if text else text],
        validators=[PlainText()],
        description=_(
            "The ID under which the homeserver knows your single sign-on, for example oidc-school. "
            "New accounts are then linked to it. Leave it empty if there is none."
        ),
    )
    respect_hand_changes = BooleanField(
        _("Keep what people change in the chat"),
        description=_("A name, topic or power level that was set by hand in a room stays."),
    )
