"""Addresses, origins, hosts and the URI of the store: what is allowed, and what is shown."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.config.loading import error_of, settings_of
from vyomo_rt import config
from vyomo_rt.config import load

# Where to listen


@pytest.mark.parametrize("host", ["localhost", "LocalHost", "127.0.0.1", "127.9.8.7", "::1"])
def test_loopback_is_always_allowed(host: str) -> None:
    assert load({"host": host}, {})[0].host == host


def test_an_ipv6_address_may_have_the_brackets_of_a_url() -> None:
    assert load({"host": "[::1]"}, {})[0].host == "::1"


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.2", "2001:db8::1", "example.com", "0", "127.0.0.1.evil.de"]
)
def test_any_other_address_needs_allow_open_and_then_warns_at_every_start(host: str) -> None:
    assert error_of({"host": host}, {}) == (
        f"--host: refusing to listen on {host} without access control: set VYOMO_RT_AUTH_KEY "
        "(`vyomo-rt keygen` makes one), or add --allow-open (VYOMO_RT_ALLOW_OPEN=1) if everybody "
        "who can reach this address may watch and trade"
    )
    settings, warnings = load({"host": host}, {"VYOMO_RT_ALLOW_OPEN": "1"})
    assert settings.host == host
    assert [host in warning and "without access control" in warning for warning in warnings] == [
        True
    ]


def test_with_a_key_any_address_will_do_and_nothing_is_warned_of() -> None:
    for name in ("AUTH_KEY", "AUTH_PUBLIC_KEYS", "AUTH_JWKS_URL"):
        value = "https://id.example/keys" if name.endswith("URL") else "k" * 32
        settings, warnings = load({"host": "0.0.0.0"}, {f"VYOMO_RT_{name}": value})
        assert settings.has_key
        assert warnings == []


def test_an_empty_host_flag_does_not_mean_every_address() -> None:
    assert error_of({"host": "", "allow_open": True}, {}).startswith("--host: expected")


def test_allow_open_on_loopback_is_nothing_to_warn_of() -> None:
    assert load({"allow_open": True}, {})[1] == []


# Origins and hosts


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("null", ("null",)),
        ("http://localhost:5173, https://a.de,", ("http://localhost:5173", "https://a.de")),
        ("HTTPS://A.de:443/", ("https://a.de",)),
        ("http://[::1]:3000", ("http://[::1]:3000",)),
        ("capacitor://localhost", ("capacitor://localhost",)),
        ("https://bücher.de", ("https://xn--bcher-kva.de",)),
        ("https://a.de., https://b.de.:8443", ("https://a.de", "https://b.de:8443")),
        ("file://, FILE:///", ("file://", "file://")),
    ],
)
def test_allowed_origins_become_what_browsers_send(text: str, origins: tuple[str, ...]) -> None:
    assert settings_of(ALLOWED_ORIGINS=text).allowed_origins == origins


@pytest.mark.parametrize(
    "text",
    [
        "a.de",
        "//a.de",
        "http://",
        "http://a.de/x",
        "http://a.de?x",
        "http://a.de#x",
        "http://u@a.de",
        "http://a.de:99999",
        "http://a b",
        "file:///x",
    ],
)
def test_what_is_no_origin_is_refused_by_name(text: str) -> None:
    message = error_of({}, {"VYOMO_RT_ALLOWED_ORIGINS": f"http://good.de,{text}"})
    assert message == (
        "VYOMO_RT_ALLOWED_ORIGINS: expected scheme://host[:port] or null "
        f"(several separated by commas), got '{text}'"
    )


@pytest.mark.parametrize("text", ["ws://a.de", "WSS://a.de:8443"])
def test_the_address_of_a_websocket_is_no_origin(text: str) -> None:
    assert error_of({}, {"VYOMO_RT_ALLOWED_ORIGINS": text}) == (
        f"VYOMO_RT_ALLOWED_ORIGINS: an origin is a page's: write http:// or https://, got '{text}'"
    )


def test_allowed_hosts_are_lower_case_names() -> None:
    assert settings_of(ALLOWED_HOSTS="Rt.Example.com, box, a.de.").allowed_hosts == (
        "rt.example.com",
        "box",
        "a.de",
    )


@pytest.mark.parametrize("variable", ["VYOMO_RT_ALLOWED_HOSTS", "VYOMO_RT_ALLOWED_ORIGINS"])
@pytest.mark.parametrize("text", ["*", ".example.org", "*.example.org", "https://*.example.org"])
def test_there_are_no_wildcards(variable: str, text: str) -> None:
    message = f"{variable}: no wildcards: name each host, got '{text}'"
    assert error_of({}, {variable: text}) == message


@pytest.mark.parametrize("text", ["a.de:80", "http://a.de", "a.de/x", "a..de", "u@a.de", "a b"])
def test_what_is_no_host_name_is_refused_by_name(text: str) -> None:
    assert error_of({}, {"VYOMO_RT_ALLOWED_HOSTS": text}).endswith(f"got '{text}'")


# The password of the store


SECRET = "s3cret"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("mongodb://h:1,h:2/db?replicaSet=r", "mongodb://h:1,h:2/db?replicaSet=r"),
        ("mongodb://user@h/db", "mongodb://user@h/db"),
        (f"mongodb://user:{SECRET}@h:1/db?w=1", "mongodb://user:***@h:1/db?w=1"),
        (f"mongodb+srv://user:p@{SECRET}/x@h/db", "mongodb+srv://user:***@h/db"),
        (f"mongodb://a@b.de:{SECRET}@h", "mongodb://a@b.de:***@h"),
        (f"mongodb://h/?proxyPassword={SECRET}&w=1", "mongodb://h/?proxyPassword=***&w=1"),
        (
            f"mongodb://h/?authMechanismProperties=AWS_SESSION_TOKEN:{SECRET}",
            "mongodb://h/?authMechanismProperties=***",
        ),
    ],
)
def test_the_password_of_the_store_is_shown_nowhere(uri: str, shown: str) -> None:
    environ = {"VYOMO_RT_MONGO_URI": uri}
    settings, warnings = load({}, environ)
    assert settings.mongo_uri == uri
    assert warnings == []
    assert config.hide_password(uri) == shown
    for text in (repr(settings), config.describe(settings, {}, environ)):
        assert shown in text
        assert SECRET not in text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("nats://h:4222", "nats://h:4222"),
        (f"nats://user:{SECRET}@h:4222", "nats://***@h:4222"),
        (f"tls://{SECRET}@h", "tls://***@h"),
        (f"tls://{SECRET}@a, tls://{SECRET}@b", "tls://***@b"),
    ],
)
def test_the_password_and_the_token_of_the_bus_are_shown_nowhere(url: str, shown: str) -> None:
    environ = {"VYOMO_RT_NATS_URL": url, "VYOMO_RT_MONGO_URI": "mongodb://h"}
    settings, _ = load({}, environ)
    for text in (repr(settings), config.describe(settings, {}, environ)):
        assert shown in text
        assert SECRET not in text


def test_servers_of_the_bus_have_one_user() -> None:
    url = f"nats://a:{SECRET}@h1,nats://b:{SECRET}@h2"
    words = error_of({}, {"VYOMO_RT_NATS_URL": url, "VYOMO_RT_MONGO_URI": "mongodb://h"})
    assert "write one user and password" in words
    assert SECRET not in words


@given(user=st.text(min_size=1), password=st.text())
def test_every_escaped_password_is_hidden_and_nothing_else(user: str, password: str) -> None:
    def uri(shown_password: str) -> str:
        return f"mongodb://{quote(user, safe='', errors='replace')}:{shown_password}@h:1/db?w=1"

    assert config.hide_password(uri(quote(password, safe="", errors="replace"))) == uri("***")


def test_a_uri_that_is_none_is_refused_without_repeating_it() -> None:
    message = error_of({"mongo_uri": f"postgres://user:{SECRET}@h"}, {})
    assert message.startswith("--mongo-uri: expected mongodb://")
    assert SECRET not in message
