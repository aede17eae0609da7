"""The bound: what commweb sends, sent by bare `requests` threads with nothing behind them.

``rooms``: each thread makes and fills one room after the other, as commweb's workers do.
``round_robin``: every thread takes the next person of the next room, so that all rooms are
filled at once and requests of one room meet in the server.
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

import requests

from tests.bench.child import Count, serve

Tasks = Iterable[Callable[["Client"], None]]


class Client(Count):
    """One thread's session: kept alive, with nothing read from the environment."""

    def __init__(self, job: dict[str, Any]) -> None:
        super().__init__()
        self.base = job["base_url"]
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = job["ca_bundle"] or True
        self.session.headers["Authorization"] = f"Bearer {job['token']}"

    def send(self, method: str, path: str, body: Any) -> Any:
        self.requests += 1
        answer = self.session.request(method, self.base + path, json=body, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def create(self, room: dict[str, Any]) -> str:
        found = self.send("POST", "/_matrix/client/v3/createRoom", room["create"])["room_id"]
        self.rooms.append(found)
        return str(found)

    def account(self, person: dict[str, str]) -> None:
        path = f"/_synapse/admin/v2/users/{quote(person['id'], safe='')}"
        self.send("PUT", path, {"displayname": person["name"]})

    def join(self, room_id: str, person: dict[str, str]) -> None:
        path = f"/_synapse/admin/v1/join/{quote(room_id, safe='')}"
        self.send("POST", path, {"user_id": person["id"]})


def fill(client: Client, room: dict[str, Any]) -> None:
    for person in room["people"]:
        client.account(person)
    room_id = client.create(room)
    for person in room["people"]:
        client.join(room_id, person)


def spread(job: dict[str, Any], tasks: Tasks, clients: list[Client]) -> None:
    """Do the tasks with one thread a client; a failure ends the run."""
    waiting: queue.SimpleQueue[Callable[[Client], None]] = queue.SimpleQueue()
    for task in tasks:
        waiting.put(task)
    failures: list[Exception] = []

    def work(client: Client) -> None:
        try:
            while not failures:
                waiting.get_nowait()(client)
        except queue.Empty:
            return
        except requests.RequestException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def room_by_room(job: dict[str, Any], clients: list[Client]) -> None:
    spread(job, [lambda client, room=room: fill(client, room) for room in job["rooms"]], clients)


def round_robin(job: dict[str, Any], clients: list[Client]) -> None:
    made: dict[int, str] = {}

    def create(client: Client, number: int) -> None:
        made[number] = client.create(job["rooms"][number])

    numbers = range(len(job["rooms"]))
    rows = itertools.zip_longest(*(room["people"] for room in job["rooms"]))
    turns = [(n, person) for row in rows for n, person in enumerate(row) if person is not None]
    spread(job, [lambda client, p=person: client.account(p) for _n, person in turns], clients)
    spread(job, [lambda client, n=n: create(client, n) for n in numbers], clients)
    joins = [lambda client, n=n, p=person: client.join(made[n], p) for n, person in turns]
    spread(job, joins, clients)


SHAPES = {"rooms": room_by_room, "round_robin": round_robin}


def work(job: dict[str, Any]) -> list[Count]:
    clients = [Client(job) for _number in range(job["workers"])]
    SHAPES[job["shape"]](job, clients)
    return list(clients)


if __name__ == "__main__":
    serve(work)
