"""Reads a client's address from the headers of trusted proxies, and says how it is counted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from aiohttp import hdrs
from multidict import CIMultiDictProxy

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_X_FORWARDED_FOR = "X-Forwarded-For"
_FOR = re.compile(r'(?:^|;)\s*for\s*=\s*(?:"([^"\\]*)"|([^\s;"]*))\s*(?=;|$)', re.IGNORECASE)
_WITH_PORT = re.compile(r"\[([0-9a-fA-F:.]+)\](?::\d{1,5})?|([0-9.]+):\d{1,5}")
_NETWORK_BITS = 64


class Proxies:
    """The proxies whose word is taken for their clients' addresses."""

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks: list[Network] = [ip_network(network) for network in networks]

    def trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)

    def client(self, peer: Address, headers: CIMultiDictProxy[str]) -> Address | None:
        """The address that the nearest proxy which is not ours was seen at, or the client.

        Each proxy appends the address that it sees, so headers are read from the right, as far
        as trusted proxies wrote them; what is left of that anybody may have made up. None if
        that is no address, or if both headers name different ones: a proxy writes one of them
        and passes the other on.
        """
        found = {
            self._walk(peer, entries)
            for name, entries in (
                (_X_FORWARDED_FOR, _listed(headers.getall(_X_FORWARDED_FOR, ()))),
                (hdrs.FORWARDED, _described(headers.getall(hdrs.FORWARDED, ()))),
            )
            if name in headers
        }
        if not found:
            return peer
        return found.pop() if len(found) == 1 else None

    def _walk(self, peer: Address, entries: Iterator[str]) -> Address | None:
        address: Address | None = peer
        while address is not None and self.trusts(address):
            entry = next(entries, None)
            if entry is None:
                break
            address = read_address(entry)
        return address


@lru_cache(maxsize=1024)
def read_address(text: str) -> Address | None:
    """An address as proxies write it, perhaps with a port; None if it is none."""
    if match := _WITH_PORT.fullmatch(text):
        text = match[1] or match[2]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or (address if address.scope_id is None else None)
    return address


def key_of(address: Address) -> str:
    """By what an address is counted: IPv6 by network, because nobody gets just one address."""
    if isinstance(address, IPv6Address):
        return str(ip_network((address, _NETWORK_BITS), strict=False))
    return str(address)


def _listed(lines: Sequence[str]) -> Iterator[str]:
    """The entries of ``X-Forwarded-For``, the last one first."""
    for line in reversed(lines):
        yield from (entry.strip() for entry in reversed(line.split(",")))


def _described(lines: Sequence[str]) -> Iterator[str]:
    """The ``for`` of each element of ``Forwarded``, the last one first; empty if it has none.

    It is read from the right, too: a quotation mark that a client leaves open on the left
    swallows nothing of what a proxy adds.
    """
    for line in reversed(lines):
        for element in _from_the_right(line):
            found = _FOR.findall(element)
            yield "".join(found[0]) if len(found) == 1 else ""


def _from_the_right(line: str) -> Iterator[str]:
    """What stands between the commas that are not quoted, the last one first."""
    end = len(line)
    quoted = False
    for at in range(end - 1, -1, -1):
        if line[at] == '"':
            quoted = not quoted
        elif line[at] == "," and not quoted:
            yield line[at + 1 : end]
            end = at
    yield line[:end]
