"""The Matrix settings form."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import wtforms
from wtforms.validators import StopValidation

from commweb.addresses import homeserver_base
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
from commweb.i18n import gettext
from commweb.i18n import lazy_gettext as _

__all__ = ["DEFAULT_TEMPLATE", "LevelField", "MatrixSettingsForm", "Template"]

DEFAULT_TEMPLATE = "{username}"
_PLACE = re.compile(r"\{(username|id|external_id)\}")


class Template:
    """Holds one of the places at least, and no other braces."""

    def __call__(self, form: Any, field: StringField) -> None:
        rest, places = _PLACE.subn("", field.data)
        if not places or "{" in rest or "}" in rest:
            raise StopValidation(
                gettext("Use {username}, {id} or {external_id}, and no other braces.")
            )


class LevelField(wtforms.IntegerField):  # type: ignore[misc]
    """A power level from 0 to 100. One that is missing from what was sent stays as it is."""

    problem = _("Enter a whole number from 0 to 100.")

    def process_formdata(self, valuelist: list[str]) -> None:
        if not valuelist:
            return
        text = valuelist[0].strip()
        self.data = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else None
        if self.data is None or self.data > 100:
            raise ValueError(str(self.problem))


class HomeserverUrlField(HttpUrlField):
    """Where a homeserver answers; the path of a request that was pasted with it is taken off."""

    def process_formdata(self, valuelist: list[str]) -> None:
        super().process_formdata([homeserver_base(text) for text in valuelist])


class MatrixSettingsForm(SettingsForm):
    """What an admin enters once. ``advanced`` names the fields that may stay as they are."""

    server_field = "home_server_url"
    advanced: ClassVar[tuple[str, ...]] = (
        "federate",
        "encrypt",
        "history_visibility",
        "fast_fill",
        "closing_rule",
        "respect_hand_changes",
        "remove_others",
        "who_may_invite",
        "account_mode",
        "localpart_template",
        "existing_accounts",
        "sso_provider_id",
        "ask_consent",
        "link_without_proof",
        "allow_chat_password",
        "lock_suspended",
        "level_student",
        "level_teacher",
        "level_admin",
    )

    home_server_url = HomeserverUrlField(
        _("Home server URL"),
        validators=[required(), HttpUrl()],
        description=_(
            "Where the homeserver answers, for example https://matrix.example.org. "
            "Ask your homeserver’s administrator for the address Matrix apps use."
        ),
    )
    access_token = SecretField(
        _("Access token"),
        validators=[RequiredSecret()],
        description=_(
            "Lets the site act as its account on the homeserver, which has to be a "
            "server administrator. “Sign in to get tokens” gets it for you."
        ),
    )
    refresh_token = SecretField(
        _("Refresh token"),
        validators=[RequiredSecret()],
        description=_(
            "Lets the site get a new access token when the old one expires. Matrix "
            "apps do not display it: use “Sign in to get tokens”. No other program "
            "may use the same pair."
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
            ("shared", _("Members, full history")),
            ("invited", _("Members, from their invitation on")),
            ("joined", _("Members, since they joined")),
        ],
        description=_("Later it can be changed in the room itself."),
    )
    fast_fill = BooleanField(
        _("Fill new rooms faster"),
        description=_(
            "Fills rooms about twice as fast. Meanwhile anybody with an account on "
            "this homeserver who knows the room’s random ID could join; the room is "
            "not listed."
        ),
    )
    closing_rule = SelectField(
        _("When a course stops using its room"),
        choices=[
            ("remove_members", _("Remove the people that the course put there")),
            ("delete_room", _("Delete the room and its messages")),
            ("leave", _("Leave the room as it is")),
        ],
        description=_("What happens when a course is deleted or chooses another provider."),
    )
    respect_hand_changes = BooleanField(
        _("Keep what people change in the chat"),
        description=_("A name, topic or power level that was set by hand in a room stays."),
    )
    remove_others = BooleanField(
        _("Remove people who are not in the course"),
        description=_(
            "Anyone in a room who is not in the course is removed at the next sync. "
            "Otherwise such people stay."
        ),
    )
    who_may_invite = SelectField(
        _("Who may invite people to rooms"),
        default="moderators",
        choices=[
            ("moderators", _("Moderators only")),
            ("everybody", _("Everybody in the room")),
        ],
        description=_("People whom the course removed are removed again, whoever invites them."),
    )
    account_mode = SelectField(
        _("Accounts of people"),
        default="create",
        choices=[
            ("create", _("Create missing accounts and add people to their rooms")),
            (
                "invite",
                _("Do not create accounts: invite existing ones; people accept the invitation"),
            ),
            ("linked", _("Use only accounts that people have linked or that the site knows")),
        ],
        description=_(
            "People without a known account are not added, and are told why. People "
            "on other homeservers are invited if rooms are federated."
        ),
    )
    localpart_template = StringField(
        _("Names of new accounts"),
        filters=[lambda text: (text or "").strip() or DEFAULT_TEMPLATE],
        validators=[PlainText(), Template()],
        description=_(
            "The part between @ and the server. {username}, {id} and {external_id} "
            "are replaced by the person’s data. Accounts that are in use keep their "
            "names."
        ),
    )
    existing_accounts = SelectField(
        _("People whose user name exists already as an account"),
        default="ask",
        choices=[
            ("ask", _("Ask the person to prove it")),
            (
                "trust",
                _(
                    "Trust user names: this homeserver's accounts come from the same directory as "
                    "this site's"
                ),
            ),
        ],
        description=_(
            "Until they prove it with a code, they are not added. Trust names only if nobody can "
            "choose their own: else people get the accounts of others. Administrators, deactivated "
            "and locked accounts are never taken by a name."
        ),
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
    ask_consent = BooleanField(
        _("Ask people before an account is created for them"),
        description=_("They agree on the page “My Matrix account”, and wait until then."),
    )
    link_without_proof = BooleanField(
        _("Let people link an account without proof"),
        description=_(
            "Otherwise a code is sent to the account. Without it people can claim accounts that "
            "are not theirs. Who has an account here already always needs the code."
        ),
    )
    allow_chat_password = BooleanField(
        _("Let people set a chat password"),
        description=_(
            "For accounts that the site created, so that people can sign in to "
            "Element. Ignored when single sign-on is set."
        ),
    )
    lock_suspended = BooleanField(
        _("Lock the accounts of suspended people"),
        description=_(
            "Only accounts that the site created. Nobody can use a locked account until the person "
            "is active again. Without this a suspended person leaves the rooms, and the account "
            "goes on working."
        ),
    )
    level_student = LevelField(
        _("Power level of students"),
        default=0,
        description=_("0: can post. 50: moderator. 100: full control."),
    )
    level_teacher = LevelField(
        _("Power level of teachers"),
        default=50,
        description=_("Changing a level changes it in all rooms, after you have confirmed it."),
    )
    level_admin = LevelField(
        _("Power level of administrators of the site"),
        default=50,
        description=_("At most 99 in rooms older than version 12: the site’s own account has 100."),
    )
