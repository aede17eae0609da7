"""`MatrixProvider`: rooms on a Matrix homeserver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from commweb.addresses import homeserver_base
from commweb.connection import TokenPair
from commweb.encryption import Secret
from commweb.errors import ProviderError, Refused, Unreachable
from commweb.i18n import gettext as _
from commweb.i18n import joined, lazy_gettext
from commweb.net import Door, NetworkPolicy
from commweb.providers.base import (
    Backend,
    Finding,
    Introduced,
    People,
    Provider,
    ProviderContext,
    RoomLinks,
    SignedIn,
)
from commweb.providers.matrix import public
from commweb.providers.matrix.backend import MatrixBackend
from commweb.providers.matrix.checks import NO_LIMITS, check
from commweb.providers.matrix.discovery import named_homeserver, use_instead
from commweb.providers.matrix.identifiers import MatrixNames, user_id_problem
from commweb.providers.matrix.people import MatrixPeople
from commweb.providers.matrix.rooms import NewRoomRules
from commweb.providers.matrix.session import HOME_SERVER_URL, HomeserverSession
from commweb.providers.matrix.transport import Transport
from commweb.providers.matrix.visiting import end, introduce, not_an_administrator
from commweb.providers.names import Names
from commweb.settings import Setting

if TYPE_CHECKING:
    from commweb.fields import SettingsForm

__all__ = ["MatrixProvider"]

ELEMENT_WEB_URL = "element_web_url"
CREATE_ROOMS = "create_rooms_for_new_courses"
LOGIN_SECONDS = 20.0
LIFT_SECONDS = 10.0


class MatrixProvider(Provider):
    """Matrix: a room on a homeserver for each course, opened with Element in a browser."""

    id = "matrix"
    name = lazy_gettext("Matrix")
    has_session = True
    form_template = "commweb/matrix_settings.html"
    settings = (
        Setting(HOME_SERVER_URL, ""),
        Setting(ELEMENT_WEB_URL, ""),
        Setting(CREATE_ROOMS, True),
        Setting("federate", False),
        Setting("encrypt", False),
        Setting("history_visibility", "shared"),
        Setting("closing_rule", "remove_members"),
        Setting("sso_provider_id", ""),
        Setting("respect_hand_changes", True),
        Setting("remove_others", False),
        Setting("who_may_invite", "moderators"),
        Setting("fast_fill", False),
        Setting("account_mode", "create"),
        Setting("localpart_template", "{username}"),
        Setting("existing_accounts", "ask"),
        Setting("ask_consent", False),
        Setting("link_without_proof", False),
        Setting("allow_chat_password", False),
        Setting("lock_suspended", False),
        Setting("level_student", 0),
        Setting("level_teacher", 50),
        Setting("level_admin", 50),
    )
    reapplied = (
        "respect_hand_changes",
        "remove_others",
        "who_may_invite",
        "account_mode",
        "localpart_template",
        "existing_accounts",
        "ask_consent",
        "level_student",
        "level_teacher",
        "level_admin",
    )
    account_page = lazy_gettext("My Matrix account")
    account_label = lazy_gettext("Matrix user ID")
    account_example = "@name:example.org"

    def settings_form(self) -> type[SettingsForm]:
        from commweb.providers.matrix.forms import MatrixSettingsForm

        return MatrixSettingsForm

    def server_url(self, values: Mapping[str, Any]) -> str:
        return homeserver_base(str(values.get(HOME_SERVER_URL) or ""))

    def configured(self, values: Mapping[str, Any], has_session: bool) -> bool:
        return has_session and bool(values.get(HOME_SERVER_URL) and values.get(ELEMENT_WEB_URL))

    def wanted_for_new_courses(self, values: Mapping[str, Any]) -> bool:
        return bool(values.get(CREATE_ROOMS))

    def check(self, context: ProviderContext, deadline_seconds: float) -> list[Finding]:
        return check(context, deadline_seconds)

    def answers(self, context: ProviderContext, deadline_seconds: float) -> bool:
        """Asks whose session it is and, as most of the work does, the administration API for that
        account; on a connection of its own."""
        try:
            session = HomeserverSession.open(context, seconds=deadline_seconds)
        except ProviderError:
            return True
        try:
            session.client.user(session.client.whoami().user_id)
        except Unreachable:
            return False
        except ProviderError:
            return True  # a no is an answer
        finally:
            session.close()
        return True

    def sign_in(
        self, values: Mapping[str, Any], network: NetworkPolicy, username: str, password: Secret
    ) -> SignedIn:
        """A new session of its own device. A wrong name or password, and an account that is no
        server administrator, raise `Refused`; too many tries `RateLimited` with the time to
        wait."""
        problem: ProviderError | None = None
        with Door(network) as door:
            transport = Transport(door, self.server_url(values), seconds=LOGIN_SECONDS)
            try:
                done = public.login(transport, username, password)
            except (Refused, Unreachable) as error:
                problem = _sign_in_problem(error, door, transport)
            else:
                problem = not_an_administrator(transport, done.pair, done.user_id)
        if problem is not None:
            raise problem
        return SignedIn(done.pair, done.user_id, done.device_id)

    def introduce(
        self, server_url: str, network: NetworkPolicy, pair: TokenPair, deadline_seconds: float
    ) -> Introduced:
        return introduce(network, homeserver_base(server_url), pair, deadline_seconds)

    def end_session(
        self,
        server_url: str,
        network: NetworkPolicy,
        pair: TokenPair,
        kept: tuple[str, TokenPair] | None,
    ) -> None:
        end(network, homeserver_base(server_url), pair, kept)

    def keep_alive(self, context: ProviderContext, deadline_seconds: float) -> None:
        """A token of unknown life is used: only the server says that it is over."""
        session = HomeserverSession.open(context, seconds=deadline_seconds)
        try:
            if session.ring.session().pair.expires_at is None:
                session.client.whoami()
            else:
                session.ring.token()
        finally:
            session.close()

    def lift_limits(self, context: ProviderContext) -> None:
        session = HomeserverSession.open(context, seconds=LIFT_SECONDS)
        try:
            session.client.set_limits(session.acting().user_id, NO_LIMITS)
        finally:
            session.close()

    def backend(self, context: ProviderContext) -> Backend:
        """Asks the homeserver whose session it is, if that is not known yet."""
        session = HomeserverSession.open(context)
        try:
            acting = session.acting()
        except BaseException:
            session.close()
            raise
        values = context.values
        backend = MatrixBackend(
            session.client,
            session.door,
            acting,
            rules=NewRoomRules(
                federate=bool(values["federate"]),
                encrypt=bool(values["encrypt"]),
                history_visibility=str(values["history_visibility"]),
            ),
            sso_provider_id=str(values["sso_provider_id"]),
        )

        def before_request(seconds: float) -> None:
            if backend.before_request is not None:
                backend.before_request(seconds)

        session.caller.before_request = before_request
        return backend

    def people(self, context: ProviderContext, deadline_seconds: float) -> People:
        session = HomeserverSession.open(context, seconds=deadline_seconds)
        try:
            acting = session.acting()
        except BaseException:
            session.close()
            raise
        return MatrixPeople(session, acting, bool(context.values["federate"]))

    def account_problem(self, remote_user_id: str) -> str | None:
        return user_id_problem(remote_user_id)

    def names(self, own_id: str, server_name: str) -> Names:
        return MatrixNames(own_id, server_name)

    def room_url(self, values: Mapping[str, Any], remote_id: str) -> str | None:
        base = str(values.get(ELEMENT_WEB_URL) or "")
        # Readable as the room's id; what could end the fragment or the id is encoded.
        return f"{base}/#/room/{quote(remote_id, safe='!:')}" if base else None

    def room_links(
        self, values: Mapping[str, Any], remote_id: str, person: str | None, server_name: str
    ) -> RoomLinks:
        """Element for people of this homeserver; matrix.to for others, whose app may be another
        one. A room id names no server that others could ask, so ``via`` does (Matrix
        specification, appendices, "URIs")."""
        home = (person or "").partition(":")[2]
        via = quote(server_name, safe="")
        app = f"matrix:roomid/{quote(remote_id.removeprefix('!'), safe='')}"
        if server_name:
            app += f"?via={via}"
        if server_name and home and home != server_name:
            return RoomLinks(f"https://matrix.to/#/{quote(remote_id, safe='!')}?via={via}", app)
        return RoomLinks(self.room_url(values, remote_id), app)


def _sign_in_problem(error: ProviderError, door: Door, transport: Transport) -> ProviderError:
    """Why nobody was signed in, in words."""
    if not isinstance(error, Refused):
        return _with_found_address(error, door, transport)
    if error.errcode == "M_FORBIDDEN":
        sentence = _("The homeserver does not accept this user name and password.")
        return Refused(sentence, status=error.status, errcode=error.errcode)
    if error.errcode not in ("M_UNRECOGNIZED", "M_UNKNOWN"):
        return error
    try:
        public.versions(transport)
    except ProviderError as nobody:  # then it is the address that is wrong
        return _with_found_address(nobody, door, transport)
    sentence = _("The homeserver offers no sign-in with a password.")
    return Refused(sentence, status=error.status, errcode=error.errcode)


def _with_found_address(error: ProviderError, door: Door, transport: Transport) -> ProviderError:
    """The error, with the homeserver that the typed domain names, if it names one."""
    found = named_homeserver(door, transport) if error.status is not None else None
    if found is None:
        return error
    message = joined([error.sentence, use_instead(found, transport.base_url)])
    offering = Unreachable(message, status=error.status)
    offering.use_address = found
    return offering
