"""``make run``: the course site, a worker and a local Synapse, started and stopped together.

Environment: PORT (5000), HOMESERVER=none (no Synapse, nothing filled in), INSTANCE (a folder to
use instead of ``instance/``), ADMIN_PASSWORD and PEOPLE_PASSWORD (else made up and shown once).
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from types import FrameType

import waitress
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from commweb.errors import CommWebError
from commweb.site.chat_passwords import ChatPasswords
from commweb.site.children import Child, watched_module
from commweb.site.choices import ROOT, Choices, ServeError, child_environment, read_choices
from commweb.site.front import server_options
from commweb.site.homeserver import Homeserver, HomeserverError
from commweb.site.homeserver_config import LOOPBACK, port_is_free
from commweb.site.homeserver_setup import bring_up, connect
from commweb.site.private import PASSWORDS, keep_private
from commweb.site.seed import PEOPLE, Seeded, prepare, seed

__all__ = ["main"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CHILDREN = {
    "web": watched_module("commweb.site.serve", "web"),
    "worker": watched_module("flask", "--app", "app", "commweb", "worker"),
}
CHILDREN_STOP_SECONDS = 9.0
HOMESERVER_STOP_SECONDS = 2.5
RESTART_PAUSE_SECONDS = 2.0
WEB_UP_SECONDS = 60.0


class _Stopped(BaseException):
    """A signal asked us to stop."""


def main(arguments: list[str]) -> int:
    """``web`` serves the pages; without arguments everything is run. Answers the exit code."""
    if arguments == ["web"]:
        return _serve_pages(int(os.environ["PORT"]))
    for number in SIGNALS:
        if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
            continue  # started with nohup
        signal.signal(number, _stop)
    try:
        choices = read_choices(os.environ)
        for name in PASSWORDS:  # no program that is started from here gets them
            os.environ.pop(name, None)
        _run(choices)
    except _Stopped:
        return 0
    except (ServeError, HomeserverError, CommWebError) as error:
        print(error, file=sys.stderr, flush=True)
    return 1


def _stop(_number: int, _frame: FrameType | None) -> None:
    # Once is enough: a second signal must not interrupt the stopping itself.
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise _Stopped


def _say(sentence: str) -> None:
    print(sentence, flush=True)


def _run(choices: Choices) -> None:
    """Start everything, then watch over it until a signal comes. Raises what went wrong."""
    _check(choices)
    environment = child_environment(os.environ, choices)
    # What is set up in this process reads the same configuration as web and worker do.
    os.environ.update(environment)
    with ExitStack() as stack:
        server = None
        if choices.homeserver:
            server = bring_up(choices.instance, _say)
            stack.callback(server.stop, HOMESERVER_STOP_SECONDS)
        chat = _fill_in(choices, server)
        running: dict[str, Child] = {}
        stack.callback(_stop_all, running)
        for name, command in CHILDREN.items():
            running[name] = Child(command, folder=ROOT, environment=environment)
        _wait_for_web(running["web"], choices.port)
        _say(f"The course site runs on http://{LOOPBACK}:{choices.port}/ (Ctrl-C stops it).")
        _watch(running, server, environment, chat)


def _check(choices: Choices) -> None:
    try:
        choices.instance.mkdir(mode=0o700, parents=True, exist_ok=True)
        keep_private(choices.instance)
        with tempfile.TemporaryFile(dir=choices.instance):
            pass
    except OSError as error:
        raise ServeError(
            f"The folder {choices.instance} cannot be written to: {error.strerror or error}. "
            "Name another one with INSTANCE."
        ) from error
    # An earlier run that was killed may need a moment to let go of it.
    deadline = time.monotonic() + 3
    while not port_is_free(choices.port):
        if time.monotonic() > deadline:
            raise ServeError(
                f"Port {choices.port} is in use by another program. Stop it, or choose another "
                "port with PORT."
            )
        time.sleep(0.1)


def _fill_in(choices: Choices, server: Homeserver | None) -> ChatPasswords | None:
    """Tables, the connection with the homeserver, people and courses; all once. Who still waits
    for a password for the chat is in the result.
    """
    app = _make_app()
    try:
        prepare(app)
        if server is not None:
            connect(app, server, choices.instance)
        seeded = seed(app, choices.admin_password, choices.people_password)
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or type(error).__name__).rstrip(".")
        raise ServeError(
            f"The site's database in {choices.instance} cannot be used: {reason}. Move the "
            "database away or delete it, and start again."
        ) from error
    _tell(choices, seeded, server)
    if server is None:
        return None
    password = choices.people_password or seeded.people_password
    return ChatPasswords(server, server.folder / "chat_passwords.json", tuple(PEOPLE), password)


def _make_app() -> Flask:
    from app import create_app

    try:
        return create_app()
    except (OSError, RuntimeError) as error:  # an unreadable or empty key file
        raise ServeError(str(error)) from error


def _tell(choices: Choices, seeded: Seeded, server: Homeserver | None) -> None:
    if server is not None:
        _say(f"The homeserver runs on {server.base_url} (see {choices.instance}/homeserver.json).")
    made_up = {
        "admin": seeded.admin_password,
        f"{', '.join(PEOPLE)} (one for all)": seeded.people_password,
    }
    for who, password in made_up.items():
        if password:
            _say(f"Password, shown only this once: {password} for {who}.")


def _wait_for_web(web: Child, port: int) -> None:
    deadline = time.monotonic() + WEB_UP_SECONDS
    while time.monotonic() < deadline and web.exit_code() is None:
        with suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
            return
        time.sleep(0.1)
    raise ServeError("The course site did not start; what it said is above.")


def _watch(
    running: dict[str, Child],
    server: Homeserver | None,
    environment: Mapping[str, str],
    chat: ChatPasswords | None,
) -> None:
    """Start again what ends by itself, after a pause; only a signal ends this."""
    while True:
        time.sleep(0.5)
        for name, child in running.items():
            code = child.exit_code()
            if code is not None:
                _say(f"The {name} process ended (exit code {code}); it is started again.")
                child.kill()
                time.sleep(RESTART_PAUSE_SECONDS)
                running[name] = Child(CHILDREN[name], folder=ROOT, environment=environment)
        if server is not None and server.pid is None:
            _say("The homeserver ended; it is started again.")
            time.sleep(RESTART_PAUSE_SECONDS)
            try:
                server.start()
            except HomeserverError as error:
                _say(str(error))
        elif chat is not None and chat.due():
            _give_passwords(chat)


def _give_passwords(chat: ChatPasswords) -> None:
    """To the accounts that commweb has created meanwhile. A homeserver that does not answer is
    asked again later.
    """
    with suppress(HomeserverError):
        given = chat.give()
        if given:
            _say(f"Chat password set for {', '.join(given)} (the same as on the site).")


def _stop_all(running: Mapping[str, Child]) -> None:
    """Stop web and worker at once, while the homeserver still answers them."""
    until = time.monotonic() + CHILDREN_STOP_SECONDS
    for child in running.values():
        child.ask_to_stop()
    for child in running.values():
        child.wait(until)


def _serve_pages(port: int) -> int:
    def leave(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, leave)
    app = _make_app()
    waitress.serve(app, host=LOOPBACK, port=port, threads=8, **server_options(app))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
