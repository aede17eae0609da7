"""``flask commweb ...``: check, plan, sync, backfill, worker, sign-in, rekey, upgrade.

Exit codes: 0 done, 1 something failed (and says what), 2 wrong use.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn

import click
from flask.cli import AppGroup, with_appcontext

from commweb import migrate
from commweb.encryption import Secret
from commweb.errors import AnotherServer, CommWebError
from commweb.existing_names import checked
from commweb.hooks import report
from commweb.i18n import gettext as _
from commweb.i18n import joined, ngettext
from commweb.logs import log_with_time
from commweb.providers.base import Provider
from commweb.provisioning import sign_in as store_sign_in
from commweb.rekey import rekey
from commweb.servers import Elsewhere
from commweb.state import State, current_state
from commweb.sync.once import confirm, count_gone, create_gone_anew, once, plans
from commweb.web.rooms import backfill, courses_without_room

__all__ = ["group"]

group = AppGroup("commweb", help="The communication subsystem.")

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


def _fail(message: str) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(1)


def _says_what_failed(command: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except CommWebError as error:
            _fail(str(error))

    return guarded


def _provider(state: State, provider_id: str) -> Provider:
    provider = state.registry.get(provider_id)
    if provider is None:
        raise click.BadParameter(f"There is no provider {provider_id!r}.")
    return provider


@group.command("upgrade")
@with_appcontext
@_says_what_failed
def upgrade() -> None:
    """Make or migrate commweb's tables."""
    migrate.upgrade(current_state())
    click.echo("The tables are up to date.")


@group.command("worker")
@click.option("--workers", default=8, show_default=True, help="Threads, at most one a room.")
@with_appcontext
@_says_what_failed
def worker(workers: int) -> None:
    """Work until stopped: keep every room equal to its course."""
    from commweb.sync.consumer import consume

    log_with_time()
    consume(current_state(), workers)


@group.command("check")
@click.option("--provider", "provider_id", default="matrix", show_default=True)
@as_json
@with_appcontext
@_says_what_failed
def check(provider_id: str, as_json: bool) -> None:
    """Try the provider's server and say what was found."""
    state = current_state()
    provider = _provider(state, provider_id)
    findings = checked(state, provider, 10.0)
    if as_json:
        rows = [{"level": f.level, "code": f.code, "message": f.message} for f in findings]
        click.echo(json.dumps(rows, indent=2))
    else:
        for finding in findings:
            click.echo(f"{finding.level}: {finding.message}")
    if any(finding.level == "danger" for finding in findings):
        sys.exit(1)


@group.command("plan")
@click.argument("course_ids", nargs=-1)
@as_json
@with_appcontext
@_says_what_failed
def plan(course_ids: tuple[str, ...], as_json: bool) -> None:
    """Say what would be done to rooms, and do nothing."""
    found = plans(current_state(), course_ids)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for room in found:
        label = f"course {room['course_id']}" + (
            f" group {room['group_id']}" * bool(room["group_id"])
        )
        click.echo(f"{label}: " + ("; ".join(room["actions"]) or _("nothing to do")))
        if room["held"]:
            click.echo("  " + room["held"])


@group.command("sync")
@click.argument("course_ids", nargs=-1)
@click.option("--confirm", "confirmed", is_flag=True, help="Also do what waits for a confirmation.")
@as_json
@with_appcontext
@_says_what_failed
def sync(course_ids: tuple[str, ...], confirmed: bool, as_json: bool) -> None:
    """Look at rooms now (all, or those of the courses named) and make them equal."""
    state = current_state()
    ids = course_ids or tuple(course.id for course in state.host.courses())
    for course_id in ids:
        report(state, "course", course_id=course_id)
    state.db.session.commit()
    if confirmed:
        confirm(state, ids)
    result = once(state, ids)
    if as_json:
        click.echo(json.dumps(result, indent=2))
    else:
        count = len(result["rooms"])
        click.echo(ngettext("%(count)d room synchronised.", "%(count)d rooms synchronised.", count))
        for room in result["unfinished"]:
            click.echo(f"course {room['course_id']}: {room['status']}: {room['reason']}", err=True)
    if result["unfinished"]:
        sys.exit(1)


@group.command("gone")
@click.option("--create-anew", is_flag=True, help="Create them; else say how many.")
@as_json
@with_appcontext
@_says_what_failed
def gone(create_anew: bool, as_json: bool) -> None:
    """Say how many held rooms are gone from the homeserver, or create them anew."""
    state = current_state()
    count = create_gone_anew(state) if create_anew else count_gone(state)
    if as_json:
        click.echo(json.dumps({"rooms": count, "created_anew": create_anew}))
    else:
        click.echo(ngettext("%(count)d room.", "%(count)d rooms.", count))


@group.command("backfill")
@click.option("--dry-run", is_flag=True, help="Only say how many.")
@as_json
@with_appcontext
@_says_what_failed
def backfill_command(dry_run: bool, as_json: bool) -> None:
    """Ask for a room for every course that has none."""
    state = current_state()
    count = courses_without_room(state) if dry_run else backfill(state, actor="")
    if as_json:
        click.echo(json.dumps({"courses": count, "dry_run": dry_run}))
    else:
        click.echo(ngettext("%(count)d course.", "%(count)d courses.", count))


@group.command("sign-in")
@click.option("--provider", "provider_id", default="matrix", show_default=True)
@click.option("--username", prompt="User name")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option(
    "--new-homeserver",
    is_flag=True,
    help="Another homeserver than the rooms are on is meant: create everything anew there.",
)
@with_appcontext
@_says_what_failed
def sign_in(provider_id: str, username: str, password_stdin: bool, new_homeserver: bool) -> None:
    """Get tokens for a user name and a password, which is not stored."""
    state = current_state()
    provider = _provider(state, provider_id)
    if password_stdin:
        password = sys.stdin.readline().rstrip("\n")
    else:
        password = click.prompt("Password", hide_input=True)
    try:
        signed_in, problem = store_sign_in(
            state,
            provider,
            username,
            Secret(password),
            actor="",
            allow_new_server=new_homeserver,
        )
    except AnotherServer as error:
        found = Elsewhere(error.old, error.new, error.rooms, error.accounts)
        more = _(
            "This account is on %(new)s. Nothing was changed. To create everything anew there, "
            "use --new-homeserver.",
            new=error.new,
        )
        _fail(joined([found.sentence(), more]))
    click.echo(_("Signed in as %(user)s.", user=signed_in.user_id))
    if problem:
        click.echo(problem, err=True)


@group.command("rekey")
@with_appcontext
@_says_what_failed
def rekey_command() -> None:
    """Seal every stored secret again with the first of COMMWEB_SECRET_KEYS."""
    count = rekey(current_state())
    said = ngettext("%(count)d secret sealed again.", "%(count)d secrets sealed again.", count)
    click.echo(said)
