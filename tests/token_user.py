"""A process that uses a stored session in several threads until it was renewed often enough.

    python -m tests.token_user DATABASE BASE_URL UNTIL_GENERATION THREADS   (key on stdin)

Prints JSON: how many calls were made, and the kinds of errors there were.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

from commweb.errors import CommWebError
from commweb.providers.matrix.session import HomeserverSession
from tests.stored_session import Stored


def use(stored: Stored, base_url: str, until: int, told: dict[str, Any]) -> None:
    """Call whoami until the session's generation is ``until``."""
    session = HomeserverSession.open(stored.context(base_url))
    try:
        while session.ring.session().generation < until:
            session.client.whoami()
            told["calls"] += 1
    except CommWebError as error:
        told["errors"].append(f"{type(error).__name__}: {error}")
    finally:
        session.close()


def main() -> None:
    url, base_url, until, count = sys.argv[1:]
    stored = Stored.open(url, sys.stdin.readline().strip())
    told: dict[str, Any] = {"calls": 0, "errors": []}
    threads = [
        threading.Thread(target=use, args=(stored, base_url, int(until), told))
        for _number in range(int(count))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored.close()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
