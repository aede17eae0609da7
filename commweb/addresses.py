"""Which addresses commweb connects to: pure rules, no network.

A web address that a person typed may point anywhere, so `url_problem` looks at the spelling when
it is entered and `refusal` looks at every address the name turned out to have when it is dialled
(`commweb.net`). Sources: the IANA special-purpose address registries, RFC 6052 (NAT64),
RFC 3056 (6to4), RFC 4291 (IPv4 in IPv6), and the cloud providers' metadata documentation.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit, urlunsplit

from commweb.i18n import gettext as _

__all__ = [
    "Address",
    "homeserver_base",
    "is_allowed",
    "is_metadata_address",
    "is_metadata_host",
    "is_plain_http_to_elsewhere",
    "is_public",
    "normalise_url",
    "parse_address",
    "url_problem",
]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_URL_LENGTH = 512
DEFAULT_PORTS = {"http": 80, "https": 443}

# Public by `ipaddress` in at least one supported Python, yet no place for a homeserver: they
# lead into another address family, to a relay or to a protocol assignment.
SPECIAL_NETWORKS: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "::/96",
        "::ffff:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",
        "2002::/16",
        "3fff::/20",
        "5f00::/16",
        "fec0::/10",
        "100.64.0.0/10",
        "192.0.0.0/24",
        "192.88.99.0/24",
    )
)
METADATA_ADDRESSES: frozenset[Address] = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254",  # most clouds
        "169.254.169.253",
        "169.254.170.2",  # container credentials
        "169.254.170.23",
        "169.254.0.23",
        "169.254.42.42",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd00:42::42",
        "fd20:ce::254",
    )
)
METADATA_HOSTS = frozenset(
    {
        "instance-data",
        "instance-data.ec2.internal",
        "metadata",
        "metadata.goog",
        "metadata.google.internal",
        "metadata.tencentyun.com",
    }
)
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+", re.ASCII)
# What a host in an address may be written with; everything outside ASCII is left to IDNA.
_HOST = re.compile(r"[a-z0-9._:-]+", re.ASCII)
# A homeserver's own paths; what is before them is where it answers.
_REQUEST_PATH = re.compile(
    r"(https?://[^/?#]+(?:/[^?#]*?)?)/+(?:_matrix|_synapse|\.well-known/matrix)(?:[/?#].*)?",
    re.IGNORECASE | re.DOTALL,
)
LOOPBACK = ipaddress.ip_network("127.0.0.0/8")
LOOPBACK_6 = ipaddress.ip_address("::1")


def _plain_host(host: str) -> str:
    """The host as a resolver understands it: one width, lower case, no trailing dot."""
    text = unicodedata.normalize("NFKC", host).replace("。", ".").casefold().strip()
    return text.strip("[]").rstrip(".")


def parse_address(host: str) -> Address | None:
    """The address that ``host`` spells, in any way the C library takes (dotted, decimal,
    octal, hexadecimal, shortened); None for a name."""
    text = _plain_host(host).partition("%")[0]
    if len(text) > 64:  # longer than any spelling
        return None
    if ":" not in text:
        return _numbers_address(text.split("."))
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _numbers_address(parts: list[str]) -> Address | None:
    """One to four numbers: each is a byte, the last one fills what is left."""
    if not 1 <= len(parts) <= 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    numbers = [number for part in parts if (number := _number(part)) is not None]
    *heads, tail = numbers or [-1]
    fits = 0 <= tail < 1 << (8 * (4 - len(heads))) and all(head <= 255 for head in heads)
    if len(numbers) != len(parts) or not fits:
        return None
    value = sum(head << (24 - 8 * index) for index, head in enumerate(heads))
    return ipaddress.IPv4Address(value + tail)


def _number(part: str) -> int | None:
    if part.startswith("0x"):
        return int(part[2:] or "0", 16)
    if part.startswith("0") and part != "0":
        return int(part, 8) if set(part) <= set("01234567") else None
    return int(part)


def _embedded(address: Address) -> Iterable[ipaddress.IPv4Address]:
    """The IPv4 addresses that an IPv6 address may lead to."""
    if isinstance(address, ipaddress.IPv4Address):
        return ()
    value = int(address)
    return (
        ipaddress.IPv4Address(value & 0xFFFFFFFF),  # mapped, compatible, NAT64
        ipaddress.IPv4Address((value >> 80) & 0xFFFFFFFF),  # 6to4
        ipaddress.IPv4Address(~value & 0xFFFFFFFF),  # Teredo
    )


def _without_scope(address: Address) -> Address:
    return ipaddress.ip_address(int(address)) if getattr(address, "scope_id", None) else address


def is_metadata_address(address: Address) -> bool:
    """Whether a cloud's metadata service answers there, directly or through a translation."""
    if _without_scope(address) in METADATA_ADDRESSES:
        return True
    if not any(
        address in network for network in SPECIAL_NETWORKS if network.version == address.version
    ):
        return False
    return any(inner in METADATA_ADDRESSES for inner in _embedded(address))


def is_metadata_host(host: str) -> bool:
    """Whether ``host`` names or spells a cloud's metadata service."""
    address = parse_address(host)
    if address is not None:
        return is_metadata_address(address)
    return _plain_host(host) in METADATA_HOSTS


def is_public(address: Address) -> bool:
    """Whether the address is an ordinary one on the internet."""
    if any(
        address in network for network in SPECIAL_NETWORKS if network.version == address.version
    ):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def is_allowed(host: str, address: Address, allowed: Iterable[str]) -> bool:
    """Whether an operator named the host, or a network with this address, in ``allowed``.

    The whole IPv4 loopback network stands for ``::1`` too: ``localhost`` has both.
    """
    mapped = getattr(address, "ipv4_mapped", None)
    for entry in allowed:
        try:
            network = ipaddress.ip_network(entry.strip().strip("[]"), strict=False)
        except ValueError:
            if _plain_host(entry) == _plain_host(host):
                return True
            continue
        if address in network or (mapped is not None and mapped in network):
            return True
        if address == LOOPBACK_6 and network == LOOPBACK:
            return True
    return False


def url_problem(url: str) -> str | None:
    """What is wrong with a web address that a person typed, as a sentence; None if nothing.

    It needs http or https and a host, and no user name, password, query or fragment. Addresses
    of cloud metadata services are refused in every spelling.
    """
    text = url.strip()
    if len(text) > MAX_URL_LENGTH:
        return _("This address is too long.")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return _("This is not a web address.")
    if parts.scheme.lower() not in DEFAULT_PORTS or not text[len(parts.scheme) :].startswith("://"):
        return _("Enter an address that starts with https:// or http://.")
    return _part_problem(text, parts, port)


def _part_problem(text: str, parts: SplitResult, port: int | None) -> str | None:
    if "@" in parts.netloc:
        return _("Leave the user name and password out of the address.")
    if "?" in text or "#" in text:
        return _("Leave out everything from the question mark or the # on.")
    host = parts.hostname or ""
    if not host:
        return _("The address has no host name.")
    if is_metadata_host(host):
        return _("This address belongs to a cloud metadata service. It is never connected to.")
    if port == 0 or not _is_host(host) or re.search(r"[\s\\%\x00-\x1f\x7f]", text):
        return _("This is not a web address.")
    return None


def _is_host(host: str) -> bool:
    if parse_address(host) is not None:
        return True
    try:
        name = host.rstrip(".").encode("idna").decode("ascii").lower()
    except UnicodeError:
        return False
    return bool(_HOST.fullmatch(name)) and ":" not in name and ".." not in name


def normalise_url(url: str) -> str:
    """The address in one spelling: scheme and host in lower case, no default port, no slash at
    the end. Text that is not an address comes back stripped."""
    text = url.strip()
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return text
    scheme = parts.scheme.lower()
    host = (parts.hostname or "").lower()
    if scheme not in DEFAULT_PORTS or not host:
        return text
    user, at, _rest = parts.netloc.rpartition("@")
    netloc = user + at + (f"[{host}]" if ":" in host else host)
    if port is not None and port != DEFAULT_PORTS[scheme]:
        netloc += f":{port}"
    return urlunsplit((scheme, netloc, parts.path.rstrip("/"), parts.query, parts.fragment))


def homeserver_base(url: str) -> str:
    """The address without the path of a request, which people copy from a browser or a guide:
    ``https://hs.example/_matrix/client`` is ``https://hs.example``. Other text stays as it is."""
    found = _REQUEST_PATH.fullmatch(url.strip())
    return normalise_url(found[1]) if found else url


def is_plain_http_to_elsewhere(url: str) -> bool:
    """Whether the address is unencrypted and leaves this machine, which deserves a warning."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return False
    if parts.scheme.lower() != "http" or not parts.hostname:
        return False
    address = parse_address(parts.hostname)
    if address is not None:
        return not address.is_loopback
    host = _plain_host(parts.hostname)
    return host != "localhost" and not host.endswith(".localhost")
