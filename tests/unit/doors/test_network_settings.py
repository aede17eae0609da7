"""What an operator says about the network reaches the wire; what no operator may allow does not."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from commweb.errors import AddressRefused, Unreachable
from commweb.net import Door, NetworkPolicy
from commweb.site import comm
from tests.certificates import self_signed
from tests.unit.doors.conftest import MakeWorld
from tests.unit.doors.homeserver import Homeserver, homeserver
from tests.unit.doors.planted import TYPED_ACCESS, found_in

pytestmark = pytest.mark.local_server

SPECIAL = {
    "loopback": ("127.0.0.1", "127.255.255.254", "::1"),
    "private": ("10.0.0.1", "172.31.255.255", "192.168.1.1", "fd12:3456:789a::1"),
    "link-local": ("169.254.1.1", "fe80::1"),
    "carrier-grade NAT": ("100.64.0.1", "100.127.255.254"),
    "multicast": ("224.0.0.1", "239.255.255.250", "ff02::1"),
    "mapped": ("::ffff:10.0.0.1", "::ffff:127.0.0.1", "::ffff:93.184.215.14", "::7f00:1"),
    "translated": ("64:ff9b::a00:1", "2002:a00:1::1", "2001:0:a00:1::1"),
    "nobody's": ("0.0.0.0", "::", "240.0.0.1", "255.255.255.255", "192.0.2.1", "2001:db8::1"),
    "metadata": ("169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254", "100.100.100.200"),
}
EVERYWHERE = ("0.0.0.0/0", "::/0", "hs.test")


def leading_to(address: str) -> Callable[..., list[Any]]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET

    def resolve(_host: str, port: int, type: int = 0) -> list[Any]:
        target = (address, port, 0, 0) if ":" in address else (address, port)
        return [(family, type, 6, "", target)]

    return resolve


@pytest.mark.parametrize("address", [a for kind in SPECIAL.values() for a in kind])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_name_that_leads_to_a_special_address_is_not_connected_to(
    scheme: str, address: str
) -> None:
    with Door(NetworkPolicy(), resolve=leading_to(address)) as door:
        for _again in range(2):
            with pytest.raises(AddressRefused):
                door.send("GET", f"{scheme}://hs.test/", headers={"Authorization": "Bearer t"})


@pytest.mark.parametrize("address", SPECIAL["metadata"])
def test_metadata_is_not_connected_to_whatever_is_allowed(address: str) -> None:
    policy = NetworkPolicy(allowed_private_hosts=EVERYWHERE)
    door = Door(policy, resolve=leading_to(address))
    with door, pytest.raises(AddressRefused, match="metadata"):
        door.send("GET", "http://hs.test/")


def connected(world_app: Any, server: Homeserver) -> list[str]:
    """What the settings page finds out about the homeserver, as codes."""
    with world_app.app_context():
        comm.configure(
            "matrix",
            {"home_server_url": server.url, "element_web_url": "https://chat.test"},
            access_token=TYPED_ACCESS,
            refresh_token="unused",
        )
        state = world_app.extensions["commweb"]
        provider = state.registry.get("matrix")
        return [finding.code for finding in provider.check(state.context(provider), 10.0)]


@pytest.mark.parametrize(
    ("allowed", "reached"),
    [("", False), ("10.0.0.0/8", False), ("127.0.0.0/8", True), ("hs.test, 127.0.0.1", True)],
)
def test_loopback_is_connected_to_only_where_the_operator_allows_it(
    make_world: MakeWorld, matrix: Homeserver, allowed: str, reached: bool
) -> None:
    with make_world(COMMWEB_ALLOWED_PRIVATE_HOSTS=allowed) as world:
        codes = connected(world.app, matrix)
    assert ("reached" in codes) is reached
    assert ("address_refused" in codes) is not reached
    assert bool(matrix.requests) is reached


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of 127.0.0.1, with its key, in one file."""
    path = tmp_path_factory.mktemp("tls") / "hs.pem"
    path.write_bytes(b"".join(self_signed("127.0.0.1")))
    return path


@pytest.fixture
def secure(certificate: Path) -> Iterator[Homeserver]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with homeserver("a", "b", context) as server:
        yield server


@pytest.mark.parametrize("trusted", [True, False])
def test_a_certificate_is_trusted_only_by_the_operators_bundle(
    make_world: MakeWorld, secure: Homeserver, certificate: Path, trusted: bool
) -> None:
    bundle = str(certificate) if trusted else None
    with make_world(COMMWEB_CA_BUNDLE=bundle) as world:
        codes = connected(world.app, secure)
    assert ("reached" in codes) is trusted
    assert bool(found_in(secure.text)) is trusted


def test_the_operators_proxy_gets_the_requests_and_the_environments_does_not(
    make_world: MakeWorld, matrix: Homeserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with homeserver() as proxy, homeserver() as ambient:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, ambient.url)
        with make_world(COMMWEB_HTTP_PROXY=proxy.url) as world:
            assert "admin" in connected(world.app, matrix)
        assert all(seen.path.startswith(matrix.url) for seen in proxy.requests)
        assert ambient.requests == []
    assert matrix.requests == []


def drip(listening: socket.socket, ending: threading.Event) -> None:
    """Accept, and answer a byte now and then, never to the end of a line."""
    connection, _address = listening.accept()
    with connection:
        while not ending.wait(0.02):
            try:
                connection.sendall(b"H")
            except OSError:
                return


def test_a_proxy_that_drips_its_answer_does_not_stretch_the_deadline() -> None:
    ending = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=drip, args=(listening, ending))
        thread.start()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            policy = NetworkPolicy(http_proxy=address)
            with Door(policy) as door, pytest.raises(Unreachable, match=r"within 0\.4 seconds"):
                door.send("GET", "https://hs.test/", deadline_seconds=0.4)
        finally:
            ending.set()
            thread.join(10)


def test_two_apps_keep_their_own_rules(
    make_world: MakeWorld, matrix: Homeserver, tmp_path: Path
) -> None:
    with make_world() as open_world:
        policy = open_world.app.extensions["commweb"].network
        with make_world(INSTANCE=str(tmp_path / "strict"), COMMWEB_ALLOWED_PRIVATE_HOSTS="") as it:
            assert it.app.extensions["commweb"].network.allowed_private_hosts == ()
        assert policy.allowed_private_hosts == ("127.0.0.0/8",)
        assert "reached" in connected(open_world.app, matrix)
