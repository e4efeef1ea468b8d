"""Keys and other secrets: where they may stand, which are taken, and that none is ever shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.loading import error_of
from vyomo_rt import config
from vyomo_rt.config import Settings, load


def test_a_key_is_taken_as_it_is_written_from_a_variable_or_a_file(tmp_path: Path) -> None:
    key, path = " k=+/ spaces and all, and a tail ", tmp_path / "key"
    assert load({}, {"VYOMO_RT_AUTH_KEY": key})[0].auth_key == key
    for end in ("", "\n", "\r\n"):
        path.write_bytes((key + end).encode())
        assert load({}, {"VYOMO_RT_AUTH_KEY_FILE": str(path)}) == (Settings(auth_key=key), [])
    path.write_text("\n")
    assert "is empty" in error_of({}, {"VYOMO_RT_AUTH_KEY_FILE": str(path)})
    path.write_text(f"{key}\n\n")
    assert "cannot be printed" in error_of({}, {"VYOMO_RT_AUTH_KEY_FILE": str(path)})
    assert "cannot be read" in error_of({}, {"VYOMO_RT_AUTH_KEY_FILE": str(tmp_path / "none")})
    both = {"VYOMO_RT_AUTH_KEY_FILE": str(path), "VYOMO_RT_AUTH_KEY": key}
    assert "VYOMO_RT_AUTH_KEY is set too" in error_of({}, both)


def test_a_file_may_hold_public_keys_or_name_the_files_that_do(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("a.pem,b.pem\n")
    environ = {"VYOMO_RT_AUTH_PUBLIC_KEYS_FILE": str(path)}
    assert load({}, environ)[0].auth_public_keys == ("a.pem", "b.pem")
    path.write_text("-----BEGIN PUBLIC KEY-----\n")
    assert load({}, environ)[0].auth_public_keys == (str(path),)


def test_a_short_key_is_refused_and_one_that_is_not_long_is_warned_of() -> None:
    message = error_of({}, {"VYOMO_RT_AUTH_KEY": "k" * 15})
    assert "k" * 15 not in message
    assert "expected at least 16 characters" in message
    (warning,) = load({}, {"VYOMO_RT_AUTH_KEY": "k" * 31})[1]
    assert "shorter than 32 bytes" in warning
    assert load({}, {"VYOMO_RT_AUTH_KEY": "k" * 32})[1] == []


def test_no_key_is_ever_shown() -> None:
    secret = "correct-horse-battery-staple-and-more"
    environ = {
        "VYOMO_RT_AUTH_KEY": secret,
        "VYOMO_RT_AUTH_PREVIOUS_KEY": secret,
        "VYOMO_RT_AUTH_PREVIOUS_KEY_UNTIL": "2026-12-01T00:00:00+05:30",
        "VYOMO_RT_AUTH_JWKS_URL": f"https://u:{secret}@id.example/",
        "VYOMO_RT_NOTIFY_URL": f"https://hooks.example/{secret}?token={secret}",
        "VYOMO_RT_NOTIFY_KEY": secret,
    }
    settings, _ = load({}, environ)
    assert settings.auth_previous_key_until == 1_796_063_400_000
    assert secret not in repr(settings) + config.describe(settings, {}, environ)
    for name in environ:
        if not name.endswith("UNTIL"):
            assert secret not in error_of({}, environ | {name: f"\0{secret}"})


def test_the_previous_key_needs_a_new_one_and_its_end() -> None:
    old, until = "VYOMO_RT_AUTH_PREVIOUS_KEY", "VYOMO_RT_AUTH_PREVIOUS_KEY_UNTIL"
    both = {"VYOMO_RT_AUTH_KEY": "n" * 32, old: "o" * 32}
    assert until in error_of({}, both)
    assert error_of({}, {old: "o" * 32, until: "1796060000000"}).startswith(f"{old}: ")
    assert error_of({}, {until: "1796060000000"}).startswith(f"{until}: ")
    for wrong in ("2026-12-01", "2026-12-01T00:00:00", "1796060000", "soon"):
        assert error_of({}, both | {until: wrong}).startswith(f"{until}: expected a moment")


def test_keys_come_over_https_or_from_this_machine() -> None:
    name = "VYOMO_RT_AUTH_JWKS_URL"
    for url in (
        "https://id.example/keys",
        "http://127.0.0.1:8/k",
        "http://[::1]/",
        "http://localhost/k",
    ):
        assert load({}, {name: url})[0].auth_jwks_url == url
    for url in (
        "http://id.example/keys",
        "ftp://id.example",
        "id.example",
        "http://127.0.0.1.x.de/",
    ):
        assert error_of({}, {name: url}).startswith(f"{name}: ")


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "key"
    file.write_text("k3y-of-a-file\n")
    return file


def test_a_secret_may_stand_in_a_file_and_is_shown_nowhere(key_file: Path) -> None:
    environ = {
        "VYOMO_RT_KITE_API_KEY_FILE": str(key_file),
        "VYOMO_RT_KITE_ACCESS_TOKEN": "t0ken",
        "VYOMO_RT_MONGO_URI_FILE": str(key_file),
    }
    key_file.with_name("uri").write_text("mongodb://me:pa55@h")
    environ["VYOMO_RT_MONGO_URI_FILE"] = str(key_file.with_name("uri"))
    settings, warnings = load({}, environ)
    assert warnings == []
    assert (settings.kite_api_key, settings.kite_access_token) == ("k3y-of-a-file", "t0ken")
    assert settings.mongo_uri == "mongodb://me:pa55@h"
    table = config.describe(settings, {}, environ)
    for secret in ("k3y", "t0ken", "pa55"):
        assert secret not in table + repr(settings)
    rows = {line.split()[0]: line.split()[1:] for line in table.splitlines()}
    assert rows["kite_api_key"] == ["***", "VYOMO_RT_KITE_API_KEY_FILE"]


def test_a_file_for_a_secret_that_is_of_no_use_is_told_without_it(key_file: Path) -> None:
    variable = "VYOMO_RT_KITE_API_KEY_FILE"
    assert "cannot be read: No such file" in error_of({}, {variable: f"{key_file}x"})
    both = {variable: str(key_file), "VYOMO_RT_KITE_API_KEY": "other"}
    assert error_of({}, both) == (
        f"{variable}: VYOMO_RT_KITE_API_KEY is set too: leave one of them out"
    )
    key_file.write_text("k3y and more")
    message = error_of({}, {variable: str(key_file)})
    assert message == f"{variable}: a key has no spaces: leave them out, got '***'"
    key_file.write_text("")
    assert "is empty" in error_of({}, {variable: str(key_file)})
