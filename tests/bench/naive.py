"""The pattern one writes first: for each person look the account up, read the room's members,
join; who is a moderator is written when all are in. One call after the other, each on a connection
of its own. Moodle's Matrix plugin works much like this."""

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
        self.verify = job["ca_bundle"] or True
        self.headers = {"Authorization": f"Bearer {job['token']}"}

    def send(self, method: str, path: str, body: Any = None) -> requests.Response:
        self.requests += 1
        url = self.base + path
        answer = requests.request(
            method, url, json=body, headers=self.headers, timeout=60, verify=self.verify
        )
        if answer.status_code != 404:
            answer.raise_for_status()
        return answer

    def fill(self, room: dict[str, Any]) -> None:
        content = dict(room["create"])
        moderators = content.pop("power_level_content_override")["users"]
        content["initial_state"] = [
            one for one in content["initial_state"] if one["type"] != "m.room.member"
        ]
        room_id = self.send("POST", "/_matrix/client/v3/createRoom", content).json()["room_id"]
        self.rooms.append(room_id)
        path = f"/_matrix/client/v3/rooms/{quote(room_id, safe='')}"
        for person in room["people"]:
            self.add(room_id, f"{path}/joined_members", person)
        levels = self.send("GET", f"{path}/state/m.room.power_levels").json()
        levels["users"] = {**levels.get("users", {}), **moderators}
        self.send("PUT", f"{path}/state/m.room.power_levels", levels)

    def add(self, room_id: str, members: str, person: dict[str, str]) -> None:
        account = f"/_synapse/admin/v2/users/{quote(person['id'], safe='')}"
        if self.send("GET", account).status_code == 404:
            self.send("PUT", account, {"displayname": person["name"]})
        if person["id"] not in self.send("GET", members).json()["joined"]:
            join = f"/_synapse/admin/v1/join/{quote(room_id, safe='')}"
            self.send("POST", join, {"user_id": person["id"]})


def work(job: dict[str, Any]) -> list[Count]:
    client = Client(job)
    for room in job["rooms"]:
        client.fill(room)
    return [client]


if __name__ == "__main__":
    serve(work)
