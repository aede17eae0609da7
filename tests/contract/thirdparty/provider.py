"""The provider: what it asks an administrator for, and what commweb asks of it."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from commweb.encryption import Secret
from commweb.errors import ProviderError, RoomGone
from commweb.fields import (
    BooleanField,
    HttpUrl,
    HttpUrlField,
    RequiredSecret,
    SecretField,
    SettingsForm,
    required,
)
from commweb.i18n import lazy_gettext
from commweb.providers.base import Backend, Finding, People, Provider, ProviderContext
from commweb.providers.rooms import (
    AccountFacts,
    CloseDoor,
    CreateRoom,
    DeleteRoom,
    EnsureAccount,
    FoundRoom,
    Join,
    ObservedMember,
    ObservedRoom,
    Picture,
    Remove,
    RepairPower,
    RoomRef,
    SetLevels,
    SetName,
    SetPicture,
    SetTopic,
)
from commweb.settings import Setting
from tests.contract.thirdparty.server import Board, BoardServer

BOT = "1"


class BoardsForm(SettingsForm):
    server_field = "server"
    server = HttpUrlField("Board server", validators=[required(), HttpUrl()])
    api_key = SecretField("API key", validators=[RequiredSecret()])
    signing_key = SecretField("Signing key")
    ask_consent = BooleanField("Ask people first")
    link_without_proof = BooleanField("Take people's word")
    allow_chat_password = BooleanField("Let people set a password")


class BoardsProvider(Provider):
    id = "boards"
    name = lazy_gettext("Boards")
    settings = (
        Setting("server", ""),
        Setting("ask_consent", False),
        Setting("link_without_proof", False),
        Setting("allow_chat_password", False),
        # There are no power levels: everybody has the same.
        Setting("level_teacher", 0),
        Setting("level_admin", 0),
        Setting("who_may_invite", "everybody"),
    )
    account_page = lazy_gettext("My board account")
    account_label = lazy_gettext("Number")
    account_example = "1234567"

    def __init__(self, server: BoardServer) -> None:
        self.server = server

    def settings_form(self) -> type[SettingsForm]:
        return BoardsForm

    def server_url(self, values: Mapping[str, Any]) -> str:
        return str(values["server"])

    def configured(self, values: Mapping[str, Any], has_session: bool) -> bool:
        return has_session and bool(values["server"])

    def wanted_for_new_courses(self, values: Mapping[str, Any]) -> bool:
        return True

    def check(self, context: ProviderContext, deadline_seconds: float) -> list[Finding]:
        try:
            self.server.ask(_key(context))
        except ProviderError as error:
            return [Finding("danger", error.sentence)]
        return [Finding("success", "The board server takes the API key.")]

    def backend(self, context: ProviderContext) -> Backend:
        return BoardsBackend(self.server, _key(context))

    def people(self, context: ProviderContext, deadline_seconds: float) -> People:
        return BoardsPeople(self.server, _key(context))

    def account_problem(self, remote_user_id: str) -> str | None:
        return None if remote_user_id.isdecimal() else "A person's number has digits only."

    def room_url(self, values: Mapping[str, Any], remote_id: str) -> str | None:
        return f"{values['server']}/b/{remote_id}"


def _key(context: ProviderContext) -> str:
    return context.secrets["api_key"].reveal() if "api_key" in context.secrets else ""


@dataclass
class BoardsPeople(People):
    server: BoardServer
    key: str

    def examine(self, remote_user_id: str) -> AccountFacts:
        try:
            self.server.user(self.key, remote_user_id)
        except ProviderError as error:
            return AccountFacts(remote_user_id, usable=False, reason=error.sentence)
        return AccountFacts(remote_user_id)

    def send_code(self, remote_user_id: str, text: str) -> str:
        self.server.user(self.key, remote_user_id)
        self.server.messages.append((remote_user_id, text))
        return str(len(self.server.messages))

    def end_conversation(self, conversation: str) -> None:
        self.server.ask(self.key)

    def set_password(self, remote_user_id: str, password: Secret) -> None:
        self.server.user(self.key, remote_user_id)
        self.server.passwords[remote_user_id] = password.reveal()

    def close(self) -> None:
        pass


@dataclass
class BoardsBackend(Backend):
    server: BoardServer
    key: str
    own_id: str = BOT
    server_name: str = "boards"

    def identify(self, username: str, taken: frozenset[str]) -> str:
        number = 1_000_000 + zlib.crc32(username.encode()) % 9_000_000
        while str(number) in taken:
            number += 1
        return str(number)

    def whereabouts(self, remote_user_id: str) -> str:
        return "here" if remote_user_id.isdecimal() else "nowhere"

    def _board(self, room: RoomRef) -> Board:
        return self.server.board(self.key, room.remote_id)

    def observe(self, room: RoomRef) -> ObservedRoom | None:
        try:
            board = self._board(room)
        except RoomGone:
            return None
        states = {"in": "join", "left": "leave"}
        members = {
            number: ObservedMember(states[state], by_self=True)
            for number, state in board.people.items()
        }
        return ObservedRoom(
            board.number,
            board.name,
            board.topic,
            members=members,
            creators=frozenset({BOT}),
            own_id=BOT,
            read_only=board.locked,
            message_level=50 * board.locked,
            invite_level=100,
            creator=BOT,
            creation_key=board.key,
        )

    def accept_invitation(self, room: RoomRef) -> None:
        self._board(room)

    def leave(self, room: RoomRef) -> None:
        self._board(room)

    def create(self, room: RoomRef, action: CreateRoom) -> str:
        found = self.find(room, action.slug, 0)
        if found is not None:
            return found.remote_id
        number = str(next(self.server.numbers))
        board = Board(number, action.creation_key, action.name, action.topic, {BOT: "in"})
        self.server.boards[number] = board
        return number

    def find(self, room: RoomRef, slug: str, started_at_seconds: float) -> FoundRoom | None:
        self.server.ask(self.key)
        for board in self.server.boards.values():
            if board.key == room.creation_key:
                return FoundRoom(board.number, complete=True)
        return None

    def ensure_account(self, action: EnsureAccount) -> AccountFacts:
        self.server.ask(self.key)
        made = action.remote_user_id not in self.server.users
        if made:
            self.server.users[action.remote_user_id] = action.display_name
        origin = "created" if made else ""
        return AccountFacts(action.remote_user_id, made=made, existed=not made, origin=origin)

    def join(self, room: RoomRef, action: Join) -> None:
        self.server.user(self.key, action.remote_user_id)
        self._board(room).people[action.remote_user_id] = "in"

    def remove(self, room: RoomRef, action: Remove) -> None:
        self._board(room).people.pop(action.remote_user_id, None)

    def set_name(self, room: RoomRef, action: SetName) -> None:
        self._board(room).name = action.name

    def set_topic(self, room: RoomRef, action: SetTopic) -> None:
        self._board(room).topic = action.topic

    def upload(self, picture: Picture) -> str:
        return ""

    def set_picture(self, room: RoomRef, action: SetPicture) -> str | None:
        return None

    def set_levels(self, room: RoomRef, action: SetLevels) -> None:
        board = self._board(room)
        if action.read_only is not None:
            board.locked = action.read_only

    def close_door(self, room: RoomRef, action: CloseDoor) -> None:
        self._board(room)

    def repair_power(self, room: RoomRef, action: RepairPower) -> None:
        self._board(room)

    def delete(self, room: RoomRef, action: DeleteRoom) -> str | None:
        self.server.ask(self.key)
        self.server.boards.pop(room.remote_id or "", None)
        return None

    def close(self) -> None:
        pass
