"""Accounts of people who were erased: kept as keyed hashes, so that nobody else ever gets one.

The key is made up once, sealed like every stored secret, and sealed again by ``rekey``; so the
hashes stay good whatever becomes of COMMWEB_SECRET_KEYS. Every function is part of the caller's
transaction.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Collection

from sqlalchemy import Connection, delete, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from commweb.account_rows import in_parts, of_server
from commweb.accounts import RETIRED, retire
from commweb.encryption import Sealer, Secret
from commweb.kept_secrets import SCOPE
from commweb.models import Account, SettingRow, now

__all__ = ["ERASED", "erase", "erased"]

ERASED = "erased:"
KEY_SCOPE = f"{SCOPE}~erased"
KEY = "hash_key"
CONTEXT = ("commweb", "erased accounts")
BEFORE_ID = len(RETIRED) + 17
"""What stands before the person's id in that of somebody retired: see `commweb.accounts.retire`."""
LONGEST_ID = 255


def erase(connection: Connection, sealer: Sealer, person_id: str) -> int:
    """Forget the person's accounts, codes and consents; how many accounts. Of an account stays
    only that it is taken."""
    retire(connection, person_id)
    theirs = (
        Account.person_id.startswith(RETIRED, autoescape=True),
        func.substr(Account.person_id, BEFORE_ID + 1) == person_id[: LONGEST_ID - BEFORE_ID],
        Account.retired_at.is_not(None),
    )
    columns = (Account.provider, Account.server_name, Account.remote_user_id, Account.made_user_id)
    rows = connection.execute(select(*columns).where(*theirs)).all()
    if not rows:
        return 0
    key = _key(connection, sealer) or _new_key(connection, sealer)
    connection.execute(delete(Account).where(*theirs))
    taken = {
        (provider, server, _digest(key, provider, remote_id))
        for provider, server, *remote_ids in rows
        for remote_id in remote_ids
        if remote_id
    }
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(
        dialect.insert(Account).on_conflict_do_nothing(),
        [
            {
                "provider": provider,
                "server_name": server,
                "person_id": digest,
                "remote_user_id": digest,
                "display_name": "",
                "retired_at": now(),
            }
            for provider, server, digest in sorted(taken)
        ],
    )
    return len(rows)


def erased(
    connection: Connection,
    sealer: Sealer,
    provider: str,
    remote_ids: Collection[str],
    server: str = "",
) -> frozenset[str]:
    """Which of these accounts were somebody's who was erased. Raises `EncryptionError` when the
    key cannot be opened: then nobody can tell."""
    key = _key(connection, sealer) if remote_ids else None
    if key is None:
        return frozenset()
    digests = {_digest(key, provider, remote_id): remote_id for remote_id in remote_ids}
    found: set[str] = set()
    for part in in_parts(digests):
        found.update(
            connection.execute(
                select(Account.remote_user_id).where(
                    Account.provider == provider,
                    Account.remote_user_id.in_(part),
                    of_server(server),
                )
            ).scalars()
        )
    return frozenset(digests[digest] for digest in found)


def _key(connection: Connection, sealer: Sealer) -> Secret | None:
    query = select(SettingRow.value).where(SettingRow.scope == KEY_SCOPE, SettingRow.key == KEY)
    value = connection.execute(query).scalar()
    return None if value is None else sealer.open(json.loads(value)["sealed"], CONTEXT)


def _new_key(connection: Connection, sealer: Sealer) -> Secret:
    key = Secret(secrets.token_hex(32))
    value = json.dumps({"server_url": "", "sealed": sealer.seal(key, CONTEXT)})
    row = {"scope": KEY_SCOPE, "key": KEY, "value": value, "updated_at": now(), "updated_by": ""}
    connection.execute(insert(SettingRow).values(**row))
    return key


def _digest(key: Secret, provider: str, remote_id: str) -> str:
    text = f"{provider}\0{remote_id}".encode("utf-8", "surrogatepass")
    return ERASED + hmac.new(key.reveal().encode(), text, hashlib.sha256).hexdigest()
