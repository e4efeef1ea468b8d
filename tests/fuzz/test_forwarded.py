"""Whatever a client puts into its headers, it counts where its proxy saw it."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from tests.kit.searching import search, searched
from vyomo_rt.web.forwarded import Address, Proxies, key_of, read_address

PROXIES = Proxies(["127.0.0.0/8", "10.1.0.0/16"])
PEER = ip_address("127.0.0.1")
NAMES = st.sampled_from(["X-Forwarded-For", "Forwarded"])
MADE_UP = (
    st.text(st.sampled_from('for=1.a:[]";, \\_%\t'), max_size=60)
    | st.lists(st.sampled_from(['for="', "for=6.6.6.6", '"', ",", ";", "\\", "[", "]", " "])).map(
        "".join
    )
    | st.text(max_size=60)
)
ADDED = st.sampled_from(["203.0.113.7", "203.0.113.7:80", "[2001:db8::7]:443", "2001:db8::7"])


def seen(*headers: tuple[str, str]) -> Address | None:
    return PROXIES.client(PEER, CIMultiDictProxy(CIMultiDict(headers)))


@searched
def test_what_a_client_makes_up_moves_nothing_that_its_proxy_adds(for_s: float) -> None:
    def check(made_up: str, name: str, added: str, through: bool) -> None:
        entry = f'for="{added}"' if name == "Forwarded" else added
        more = {"Forwarded": ", for=10.1.2.3", "X-Forwarded-For": ", 10.1.2.3"}[name]
        entry += more if through else ""
        expected = read_address(added)
        assert expected is not None
        assert seen((name, f"{made_up}, {entry}")) == expected
        assert seen((name, f"{made_up},{entry}")) == expected
        assert seen((name, made_up), (name, entry)) == expected
        other = "Forwarded" if name == "X-Forwarded-For" else "X-Forwarded-For"
        assert seen((name, entry), (other, made_up)) in {expected, None}

    search(check, MADE_UP, NAMES, ADDED, st.booleans(), for_s=for_s)


@searched
def test_any_header_is_an_address_or_none(for_s: float) -> None:
    def check(text: str, name: str) -> None:
        address = seen((name, text))
        assert address is None or key_of(address)

    search(check, MADE_UP, NAMES, for_s=for_s)
