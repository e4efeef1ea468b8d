"""A client's address behind proxies: only what trusted ones have written is believed."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from vyomo_rt.web.forwarded import Proxies, key_of, read_address

PROXIES = Proxies(["127.0.0.0/8", "10.1.0.0/16", "fd00::/8"])
REAL = "203.0.113.7"


def seen(*headers: tuple[str, str], peer: str = "127.0.0.1") -> str | None:
    found = PROXIES.client(ip_address(peer), CIMultiDictProxy(CIMultiDict(headers)))
    return None if found is None else str(found)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (REAL, REAL),
        (f"6.6.6.6, {REAL}", REAL),
        (f"6.6.6.6, {REAL}, 10.1.2.3", REAL),
        (f"6.6.6.6,{REAL}:4711,127.0.0.9", REAL),
        ("6.6.6.6, 2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]:443", "2001:db8::7"),
        ("::ffff:203.0.113.7", REAL),
        (f"10.1.2.3, {REAL}, fd00::1", REAL),
        ("10.1.2.3, 127.0.0.2", "10.1.2.3"),
        ("6.6.6.6, unknown", None),
        ("6.6.6.6, 203.0.113.7.1", None),
        ("6.6.6.6, ", None),
        ("fe80::1%eth0", None),
    ],
)
def test_the_address_is_the_last_one_that_a_trusted_proxy_saw(
    text: str, address: str | None
) -> None:
    assert seen(("X-Forwarded-For", text)) == address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (f"for={REAL}", REAL),
        (f"for=6.6.6.6, For={REAL};proto=https;by=10.1.0.1", REAL),
        (f'proto=https;for="{REAL}:80"', REAL),
        ('for=6.6.6.6, for="[2001:db8::7]:4711";host=x', "2001:db8::7"),
        (f"for=6.6.6.6, for={REAL}, for=10.1.2.3", REAL),
        ('for=6.6.6.6;x=", for="[2001:db8::7]"', "2001:db8::7"),
        (f'for="6.6.6.6, for={REAL}', REAL),
        (f'for="6.6.6.6\\, for={REAL}', REAL),
        ("for=6.6.6.6, for=unknown", None),
        ("for=6.6.6.6, for=_hidden", None),
        ("for=6.6.6.6, proto=https", None),
        (f"for=6.6.6.6;for={REAL}", None),
    ],
)
def test_forwarded_is_read_from_the_right_too_whatever_quotes_a_client_left_open(
    text: str, address: str | None
) -> None:
    assert seen(("Forwarded", text)) == address


def test_headers_in_several_lines_are_one_list() -> None:
    lines = [("X-Forwarded-For", text) for text in ("6.6.6.6", REAL, "10.1.2.3")]
    assert seen(*lines) == REAL
    assert seen(("Forwarded", "for=6.6.6.6"), ("Forwarded", f"for={REAL}")) == REAL


def test_two_headers_that_name_different_clients_name_none() -> None:
    """A proxy writes one of them and passes the other on, which the client may have made up."""
    assert seen(("X-Forwarded-For", REAL), ("Forwarded", "for=6.6.6.6")) is None
    assert seen(("X-Forwarded-For", REAL), ("Forwarded", f"for={REAL}")) == REAL


def test_nobody_else_is_believed_and_without_a_header_it_is_the_proxy_itself() -> None:
    assert seen(("X-Forwarded-For", "6.6.6.6"), peer=REAL) == REAL
    assert seen(peer="10.1.0.1") == "10.1.0.1"


def test_an_address_of_ipv6_counts_as_its_network() -> None:
    def key(text: str) -> str:
        address = read_address(text)
        assert address is not None
        return key_of(address)

    assert key("2001:db8:0:1::1") == key("2001:db8:0:1:ffff::9") != key("2001:db8:0:2::1")
    assert key("203.0.113.7") == key("::ffff:203.0.113.7") != key("203.0.113.8")
