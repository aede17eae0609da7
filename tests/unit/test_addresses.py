"""Which addresses a person may enter, and which are dialled."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commweb.addresses import (
    is_allowed,
    is_metadata_address,
    is_metadata_host,
    is_plain_http_to_elsewhere,
    is_public,
    normalise_url,
    parse_address,
    url_problem,
)

METADATA_SPELLINGS = [
    "http://169.254.169.254",
    "http://169.254.169.254./",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0xA9.0xFE.0xA9.0xFE/",
    "http://0251.0376.0251.0376/",
    "http://169.254.43518/",
    "http://169.16689662/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[::a9fe:a9fe]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[2002:a9fe:a9fe::1]/",
    "http://[fd00:ec2::254]/",
    "http://[FD00:0EC2:0:0:0:0:0:254]/",
    "http://１６９.254.169.254/",
    "http://169。254。169。254/",
    "http://100.100.100.200/",
    "http://169.254.170.2/",
    "https://metadata.google.internal/",
    "https://METADATA.google.internal./",
    "http://metadata/",
]


@pytest.mark.parametrize("url", METADATA_SPELLINGS)
def test_a_cloud_metadata_address_is_refused_in_every_spelling(url: str) -> None:
    assert "metadata" in (url_problem(url) or "")


@pytest.mark.parametrize(
    "url",
    [
        "https://matrix.example.org",
        "http://localhost:8008",
        "http://127.0.0.1:8008/",
        "https://example.org/matrix/",
        "https://bücher.example",
        "https://[2001:4860:4860::8888]:8448",
        "  https://matrix.example.org  ",
    ],
)
def test_an_ordinary_address_has_no_problem(url: str) -> None:
    assert url_problem(url) is None


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("matrix.example.org", "https://"),
        ("ftp://example.org", "https://"),
        ("javascript:alert(1)", "https://"),
        ("https:/example.org", "https://"),
        ("https://", "host name"),
        ("https:///path", "host name"),
        ("https://name:word@example.org", "user name"),
        ("https://example.org\\@127.0.0.1", "user name"),
        ("https://example.org/?a=b", "question mark"),
        ("https://example.org/?", "question mark"),
        ("https://example.org/#part", "question mark"),
        ("https://exa mple.org", "not a web address"),
        ("https://example.org\\evil", "not a web address"),
        ("https://example..org", "not a web address"),
        ("https://[::1", "not a web address"),
        ("https://example.org:99999", "not a web address"),
        ("https://example.org:0", "not a web address"),
        ("https://" + "a" * 600 + ".org", "too long"),
    ],
)
def test_a_bad_address_is_told_what_is_wrong(url: str, word: str) -> None:
    assert word in (url_problem(url) or "")


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        (" HTTPS://Matrix.Example.ORG/ ", "https://matrix.example.org"),
        ("https://example.org:443/", "https://example.org"),
        ("http://example.org:80", "http://example.org"),
        ("http://example.org:8008/Path/", "http://example.org:8008/Path"),
        ("http://[::1]:8008/", "http://[::1]:8008"),
        ("not an address", "not an address"),
    ],
)
def test_an_address_is_stored_in_one_spelling(typed: str, stored: str) -> None:
    assert normalise_url(typed) == stored


@given(st.text(max_size=60))
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    once = normalise_url(text)
    assert normalise_url(once) == once
    url_problem(text)


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("http://matrix.example.org", True),
        ("http://10.0.0.1", True),
        ("https://matrix.example.org", False),
        ("http://localhost:8008", False),
        ("http://hs.localhost", False),
        ("http://127.1", False),
        ("http://[::1]", False),
    ],
)
def test_plain_http_is_warned_about_unless_it_stays_on_the_machine(url: str, warned: bool) -> None:
    assert is_plain_http_to_elsewhere(url) is warned


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.0.1",
        "169.254.1.1",
        "100.64.0.1",
        "192.0.0.8",
        "192.88.99.1",
        "198.18.0.1",
        "203.0.113.5",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::8.8.8.8",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:808:808::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fe80::1%2",
        "fec0::1",
        "ff02::1",
    ],
)
def test_a_special_address_is_not_public(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", ["8.8.8.8", "1.1.1.1", "2001:4860:4860::8888", "2606:4700::1111"])
def test_an_ordinary_address_is_public(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    ("host", "address", "entry", "allowed"),
    [
        ("hs.lan", "10.0.0.5", "10.0.0.0/8", True),
        ("hs.lan", "10.0.0.5", "10.0.0.5", True),
        ("hs.lan", "10.0.0.5", "HS.lan.", True),
        ("hs.lan", "::ffff:10.0.0.5", "10.0.0.0/8", True),
        ("localhost", "::1", "127.0.0.0/8", True),
        ("localhost", "::1", "127.0.0.1", False),
        ("other.lan", "10.0.0.5", "hs.lan", False),
        ("sub.hs.lan", "10.0.0.5", "hs.lan", False),
        ("hs.lan", "10.0.0.5", "192.168.0.0/16", False),
        ("hs.lan", "10.0.0.5", "10.0.0.0/99", False),
    ],
)
def test_an_operator_allows_by_host_or_network(
    host: str, address: str, entry: str, allowed: bool
) -> None:
    assert is_allowed(host, ipaddress.ip_address(address), [entry]) is allowed


@given(st.integers(min_value=0, max_value=2**32 - 1))
def test_every_spelling_of_an_address_means_the_same(number: int) -> None:
    address = ipaddress.IPv4Address(number)
    high, low = number >> 24, number & 0xFFFFFF
    spellings = [str(address), str(number), hex(number), f"0{number:o}", f"{high}.{low}"]
    assert {parse_address(text) for text in spellings} == {address}


@given(st.text(max_size=300))
def test_no_text_breaks_the_parser(text: str) -> None:
    parse_address(text)
    is_metadata_host(text)


def test_a_name_is_no_address() -> None:
    assert parse_address("matrix.example.org") is None
    assert parse_address("1.2.3.4.5") is None
    assert parse_address("256.1.1.1") is None
    assert parse_address("08.1.1.1") is None


def test_an_ordinary_address_that_looks_a_little_like_metadata_is_fine() -> None:
    assert not is_metadata_address(ipaddress.ip_address("2606:4700::a9fe:a9fe"))
    assert not is_metadata_host("metadata.example.org")
