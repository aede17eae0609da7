"""The pattern one writes first: for each person look the account up, read the room's members,
join; one call after the other, each on a connection of its own."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import requests

from tests.bench.child import Count, serve


class Client(Count):
    """Calls without a session."""

    def __init__(self, job: dict[str, Any]) -> None:
        super().__init__()
        self.base = job["base_url"]
        self.headers = {"Authorization": f"Bearer {job['token']}"}

    def send(self, method: str, path: str, body: Any = None) -> requests.Response:
        self.requests += 1
        url = self.base + path
        answer = requests.request(method, url, json=body, headers=self.headers, timeout=60)
        if answer.status_code != 404:
            answer.raise_for_status()
        return answer

    def fill(self, room: dict[str, Any]) -> None:
        made = self.send("POST", "/_matrix/client/v3/createRoom", room["create"])
        room_id = made.json()["room_id"]
        self.rooms.append(room_id)
        for person in room["people"]:
            self.add(quote(room_id, safe=""), person)

    def add(self, room: str, person: dict[str, str]) -> None:
        account = f"/_synapse/admin/v2/users/{quote(person['id'], safe='')}"
        if self.send("GET", account).status_code == 404:
            self.send("PUT", account, {"displayname": person["name"]})
        members = self.send("GET", f"/_synapse/admin/v1/rooms/{room}/members").json()["members"]
        if person["id"] not in members:
            self.send("POST", f"/_synapse/admin/v1/join/{room}", {"user_id": person["id"]})


def work(job: dict[str, Any]) -> list[Count]:
    client = Client(job)
    for room in job["rooms"]:
        client.fill(room)
    return [client]


if __name__ == "__main__":
    serve(work)
