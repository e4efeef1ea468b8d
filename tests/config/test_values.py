"""Where a setting's value comes from, and which values it takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from yarl import URL

from tests.config.loading import error_of, settings_of
from vyomo_rt import config
from vyomo_rt.config import FIELDS, ConfigError, Settings, load
from vyomo_rt.web.origins import Origins

DEFAULTS = Settings()
VARIABLES = [field.variable for field in FIELDS]
NO_SUCH_FEED = (
    "--feed: no such feed is installed: write one of ingest, kite, nse, openalgo, replay, sim, "
    "yahoo, got 'bse'"
)
FIELD = {field.name: field for field in FIELDS}
NUMBERS = [field for field in FIELDS if type(field.default) in {int, float}]


def test_nothing_given_means_the_defaults_without_a_warning() -> None:
    assert load({}, {}) == (DEFAULTS, [])


def test_a_flag_beats_the_environment_which_beats_the_default() -> None:
    assert load({"port": "1"}, {"VYOMO_RT_PORT": "2"})[0].port == 1
    assert load({"port": None}, {"VYOMO_RT_PORT": "2"})[0].port == 2
    assert load({"port": None}, {})[0].port == DEFAULTS.port


def test_a_bad_variable_does_not_matter_when_a_flag_beats_it() -> None:
    assert load({"port": "1"}, {"VYOMO_RT_PORT": "abc"})[0].port == 1


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("blank", ["", "  "])
def test_an_empty_variable_counts_as_not_set(variable: str, blank: str) -> None:
    assert load({}, {variable: blank}) == (DEFAULTS, [])


def test_blanks_and_line_ends_around_a_value_do_not_matter() -> None:
    assert settings_of(PORT=" 80\r", FEED="sim ") == Settings(port=80, feed=("sim",))


def test_values_get_the_type_of_their_setting() -> None:
    settings = settings_of(
        DATA_DIR="/srv/x", DEMO="TRUE", PONG_TIMEOUT_S="0.5", MAX_SYMBOLS="3", SEED="7"
    )
    assert settings == Settings(
        data_dir=Path("/srv/x"),
        demo=True,
        feed=("sim",),
        pong_timeout_s=0.5,
        max_symbols=3,
        seed="7",
    )


@pytest.mark.parametrize(
    ("flags", "environ", "message"),
    [
        (
            {},
            {"VYOMO_RT_PORT": "abc"},
            "VYOMO_RT_PORT: expected an integer from 0 to 65535, got 'abc'",
        ),
        ({"port": "65536"}, {}, "--port: expected an integer from 0 to 65535, got '65536'"),
        (
            {"feed": "bse"},
            {},
            NO_SUCH_FEED,
        ),
        ({}, {"VYOMO_RT_DEMO": "yes"}, "VYOMO_RT_DEMO: expected 1 or 0, got 'yes'"),
        (
            {},
            {"VYOMO_RT_PING_INTERVAL_S": "nan"},
            "VYOMO_RT_PING_INTERVAL_S: expected a number from 0.01 to 3600, got 'nan'",
        ),
        ({"data_dir": ""}, {}, "--data-dir: expected a folder, got ''"),
        ({"host": "h:80"}, {}, "--host: expected a host name or an IP address, got 'h:80'"),
        (
            {},
            {"VYOMO_RT_SEED": "a\nb"},
            "VYOMO_RT_SEED: contains a character that cannot be printed: leave it out",
        ),
        (
            {"data_dir": "~/x"},
            {},
            "--data-dir: no shell expands ~ here: write the whole path, got '~/x'",
        ),
        (
            {},
            {"VYOMO_RT_DATA_DIR": "file:///var/lib/vyomo"},
            (
                "VYOMO_RT_DATA_DIR: a folder has no scheme: write its path, and a MongoDB into "
                "VYOMO_RT_MONGO_URI, got 'file:///var/lib/vyomo'"
            ),
        ),
        (
            {},
            {"VYOMO_RT_DATA_DIR": "mongodb://u:secret@h"},
            (
                "VYOMO_RT_DATA_DIR: a folder has no scheme: write its path, and a MongoDB into "
                "VYOMO_RT_MONGO_URI, got 'mongodb://u:***@h'"
            ),
        ),
    ],
)
def test_a_bad_value_is_told_in_one_line_that_names_where_it_came_from(
    flags: dict[str, object], environ: dict[str, str], message: str
) -> None:
    assert error_of(flags, environ) == message


def test_a_flag_that_is_no_setting_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(TypeError, match="prot"):
        load({"prot": 1}, {})


# What an env file holds, and no shell has looked at


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
@pytest.mark.parametrize("quote", ["'", '"'])
def test_quotes_around_any_value_are_refused(field: config.Field, quote: str) -> None:
    value = f"{quote}{field.text(field.default) or 'mongodb://h'}{quote}"
    assert error_of({}, {field.variable: value}) == (
        f"{field.variable}: the quotes are part of the value: "
        "docker --env-file keeps them, leave them out"
    )


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_a_comment_behind_any_value_is_refused(field: config.Field) -> None:
    value = f"{field.text(field.default) or 'mongodb://h'} # why"
    assert error_of({}, {field.variable: value}) == (
        f"{field.variable}: the comment is part of the value: "
        "docker --env-file keeps it, leave it out"
    )


@pytest.mark.parametrize(
    ("value", "char"), [("~/data", "~"), ("$HOME/data", "$"), ("/a/${B}", "$")]
)
def test_what_only_a_shell_expands_is_refused_for_the_data_folder(value: str, char: str) -> None:
    message = error_of({}, {"VYOMO_RT_DATA_DIR": value})
    assert message.startswith(
        f"VYOMO_RT_DATA_DIR: no shell expands {char} here: write the whole path"
    )


def test_what_a_shell_has_passed_on_is_taken_as_it_is() -> None:
    flags = {"data_dir": "/a$b", "seed": "'x' #1"}
    assert load(flags, {})[0] == Settings(data_dir=Path("/a$b"), seed="'x' #1")


# Whatever it holds

WHOLE_URLS = ("auth_jwks_url", "notify_url")
"""Addresses that are asked as they are written."""


def effect_of(field: config.Field, text: str, value: Any) -> bool:
    """Whether a server that has made `value` of `text` does what the text says."""
    match field.name:
        case "allowed_hosts":
            origins = Origins(frozenset(), frozenset(value), loopback=False)
            hosts = (f"[{name}]" if ":" in name else name for name in value)
            return not any(origins.host_refusal(f"{host}:4025") for host in hosts)
        case "allowed_origins":
            origins = Origins(frozenset(value), frozenset(), loopback=False)
            return not any(origins.origin_refusal(origin, "x.y") for origin in value)
        case "host":
            return bool(value == text.strip("[]") and value.encode("idna"))
        case _ if field.holds_path and not isinstance(value, tuple):
            return bool(value == Path(text) and not text.startswith("~"))
    if isinstance(value, tuple):
        return all(path and not path.startswith("~") for path in value)
    return _effect_of_one_value(field, text, value)


def _effect_of_one_value(field: config.Field, text: str, value: Any) -> bool:
    if field.name == "nats_url":
        return all(URL(part).host for part in value.split(","))
    if isinstance(value, str):
        has_paths_below = field.name.endswith("_url") and field.name not in WHOLE_URLS
        return value == (text.rstrip("/") if has_paths_below else text)
    if field.name == "auth_previous_key_until":
        return isinstance(value, int)
    is_switch = isinstance(field.default, bool)
    return bool(value == (text.lower() in {"1", "true"} if is_switch else float(text)))


PIECES = st.sampled_from(
    [
        *"'\"$~#.,:/*[]@%?1 é",
        " #",
        "null",
        "file://",
        "http://",
        "https://",
        "mongodb://",
        "a.de",
        "::1",
    ]
)


@hypothesis_settings(deadline=None)
@example(FIELD["auth_jwks_url"], "https://a.de/")
@example(FIELD["yahoo_url"], "https://a.de/")
@given(
    field=st.sampled_from(FIELDS),
    text=st.text() | st.lists(PIECES, min_size=1, max_size=6).map("".join),
)
def test_whatever_a_variable_holds_it_is_refused_in_one_line_or_does_what_it_says(
    field: config.Field, text: str
) -> None:
    others = {"VYOMO_RT_ALLOW_OPEN": "1", "VYOMO_RT_MONGO_URI": "mongodb://h"}
    try:
        settings, _ = load({}, others | {field.variable: text})
    except ConfigError as problem:
        message = str(problem)
    else:
        text = text if field.is_key else text.strip()
        assert not text.strip() or effect_of(field, text, getattr(settings, field.name))
        return
    assert message.startswith(f"{field.variable}: ")
    assert message.isprintable()
    assert any(
        remedy in message
        for remedy in (f"expected {field.expected}, got", "leave", "write", "name each", "shorter")
    )


@given(field=st.sampled_from(NUMBERS), value=st.integers(-(10**12), 10**12))
def test_a_number_is_taken_exactly_when_it_is_within_the_stated_limits(
    field: config.Field, value: int
) -> None:
    low, high = map(float, re.findall(r"[\d.]+", field.expected))
    environ = {field.variable: str(value)}
    # A pong has to come before the next ping.
    other = {"ping_interval_s": "PONG_TIMEOUT_S", "pong_timeout_s": "PING_INTERVAL_S"}
    if field.name in other:
        assume(value != 3600)
        environ[f"VYOMO_RT_{other[field.name]}"] = "0.01" if field.name[1] == "i" else "3600"
    if low <= value <= high:
        assert getattr(load({}, environ)[0], field.name) == value
    else:
        assert error_of({}, environ).endswith(f"expected {field.expected}, got '{value}'")


def test_a_pong_must_be_due_before_the_next_ping() -> None:
    message = error_of({}, {"VYOMO_RT_PING_INTERVAL_S": "5", "VYOMO_RT_PONG_TIMEOUT_S": "5"})
    assert message.startswith("VYOMO_RT_PONG_TIMEOUT_S: ")
    assert "shorter" in message
    assert error_of({}, {"VYOMO_RT_PING_INTERVAL_S": "3"}).startswith("VYOMO_RT_PING_INTERVAL_S: ")


# Misspelt variables


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("VYOMO_RT_PROT", "VYOMO_RT_PORT"),
        ("VYOMO_RT_MONGO_URL", "VYOMO_RT_MONGO_URI"),
        ("VYOMO_RT_DATADIR", "VYOMO_RT_DATA_DIR"),
        ("VYOMO_RT_port", "VYOMO_RT_PORT"),
        ("VYOMO_RT_ALLOWED_ORIGIN", "VYOMO_RT_ALLOWED_ORIGINS"),
    ],
)
def test_a_misspelt_variable_is_warned_of_with_the_name_that_was_meant(
    typo: str, meant: str
) -> None:
    settings, warnings = load({}, {typo: "1"})
    assert settings == DEFAULTS
    assert warnings == [f"'{typo}' is not a setting and has no effect; did you mean {meant}?"]


def test_an_unknown_variable_like_no_other_gets_a_pointer_to_the_list() -> None:
    (warning,) = load({}, {"VYOMO_RT_XYZZY": "1"})[1]
    assert warning.endswith("`vyomo-rt default-env` lists them all")


def test_variables_of_others_and_of_the_tests_are_left_alone() -> None:
    assert load({}, {"PORT": "1", "VYOMO_RTX": "1", "VYOMO_RT_TEST_MONGO": "1"})[1] == []


# Feed and demo


def test_the_demo_implies_simulated_prices() -> None:
    assert load({"demo": True}, {})[0].feed == ("sim",)
    assert load({"demo": True, "feed": "sim"}, {})[0].feed == ("sim",)
    assert load({"demo": False}, {"VYOMO_RT_DEMO": "1"})[0].feed == ("ingest",)


def test_the_demo_cannot_go_with_pushed_prices() -> None:
    assert error_of({"demo": True}, {"VYOMO_RT_FEED": "ingest"}) == (
        "VYOMO_RT_FEED: ingest cannot go with --demo, which simulates prices: leave one of them out"
    )


def test_several_feeds_are_ranked_as_they_are_written() -> None:
    assert load({"feed": "yahoo, ingest"}, {})[0].feed == ("yahoo", "ingest")
    assert settings_of(FEED="ingest,yahoo").feed == ("ingest", "yahoo")


@pytest.mark.parametrize(
    ("feeds", "words"),
    [
        ("yahoo,sim", "sim cannot go with yahoo: simulated prices never stand behind real ones"),
        ("ingest,sim,yahoo", "sim cannot go with ingest, yahoo"),
        ("yahoo,ingest,yahoo", "yahoo is named twice: name it once"),
        (
            "yahoo,yaho",
            (
                "no such feed is installed: write one of ingest, kite, nse, openalgo, replay, sim, "
                "yahoo, got 'yaho'"
            ),
        ),
        (",", "names no feed: write one, such as ingest"),
    ],
)
def test_feeds_that_cannot_go_together_are_refused_with_the_setting(feeds: str, words: str) -> None:
    assert error_of({}, {"VYOMO_RT_FEED": feeds}).startswith(f"VYOMO_RT_FEED: {words}")
    assert error_of({"feed": feeds}, {}).startswith(f"--feed: {words}")


# Showing the settings


def test_describe_tells_where_each_setting_comes_from() -> None:
    flags, environ = {"port": "80"}, {"VYOMO_RT_DEMO": "1", "VYOMO_RT_ALLOWED_HOSTS": "a,b"}
    table = config.describe(load(flags, environ)[0], flags, environ)
    rows = {line.split()[0]: line.split()[1:] for line in table.splitlines()}
    assert list(rows) == [field.called for field in FIELDS]
    assert rows["port"] == ["80", "--port"]
    assert rows["demo"] == ["1", "VYOMO_RT_DEMO"]
    assert rows["feed"] == ["sim", "VYOMO_RT_DEMO"]
    assert rows["allowed_hosts"] == ["a,b", "VYOMO_RT_ALLOWED_HOSTS"]
    assert rows["host"] == ["(not", "set)", "default"]
    assert rows["ping_interval_s"] == ["25", "default"]


def test_the_default_env_file_holds_every_setting_and_changes_nothing() -> None:
    lines = config.default_env().splitlines()
    assert all(line == "" or line.startswith("#") for line in lines)
    assigned = dict(line[1:].split("=", 1) for line in lines if line.startswith("#VYOMO_RT_"))
    assert list(assigned) == VARIABLES
    assert load({}, assigned) == (DEFAULTS, [])


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_every_setting_is_explained(field: config.Field) -> None:
    assert field.description.endswith(".")
    assert field.expected
    assert f"#{field.variable}={field.text(field.default)}\n" in config.default_env()


def test_trading_on_delayed_prices_is_warned_of_and_makes_no_sense_with_simulated_ones() -> None:
    settings, (warning,) = load({"trade_on_delayed": True}, {})
    assert settings.trade_on_delayed
    assert "for paper trading only" in warning
    for name, value in (("feed", "sim"), ("demo", True)):
        message = error_of({name: value}, {"VYOMO_RT_TRADE_ON_DELAYED": "1"})
        assert message.startswith("VYOMO_RT_TRADE_ON_DELAYED: simulated prices are never delayed")
