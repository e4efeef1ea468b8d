"""The command line: what it prints, where, and with which exit code."""

from __future__ import annotations

import importlib.metadata
import logging
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from vyomo_rt import __main__ as command_line
from vyomo_rt import config, logs
from vyomo_rt.domain.errors import CannotStart

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from vyomo_rt.config import Settings

    Serve = Callable[[Settings], Awaitable[None]]


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in config.FIELDS:
        monkeypatch.delenv(field.variable, raising=False)


@pytest.fixture
def app_is(monkeypatch: pytest.MonkeyPatch) -> Callable[[Serve], None]:
    """Put a function in the place of the app's ``serve``."""

    def put(serve: Serve) -> None:
        app = ModuleType("vyomo_rt.app.process")
        vars(app).update(serve=serve)
        monkeypatch.setitem(sys.modules, "vyomo_rt.app.process", app)
        monkeypatch.setattr(logs, "configure", lambda _: None)

    return put


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environ, check=False
    )


# In a process of its own


def test_a_server_without_access_control_loads_no_library_of_cryptography() -> None:
    program = "import sys, vyomo_rt.app.process; print({'cryptography', 'jwt'} & {*sys.modules})"
    assert run("-c", program).stdout == "set()\n"


def test_without_a_command_the_help_goes_to_stderr_and_the_exit_code_is_2() -> None:
    done = run("-m", "vyomo_rt")
    assert (done.returncode, done.stdout) == (2, "")
    assert "check-config" in done.stderr


def test_a_bad_setting_is_one_line_on_stderr_and_exit_code_2() -> None:
    done = run("-m", "vyomo_rt", "serve", VYOMO_RT_PORT="abc")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "vyomo-rt: VYOMO_RT_PORT: expected an integer from 0 to 65535, got 'abc'\n"
    )


def test_check_config_prints_settings_to_stdout_and_warnings_to_stderr() -> None:
    done = run("-m", "vyomo_rt", "check-config", "--port", "0", VYOMO_RT_PROT="1")
    assert done.returncode == 0
    assert ["port", "0", "--port"] in [line.split() for line in done.stdout.splitlines()]
    assert done.stderr == (
        "warning: 'VYOMO_RT_PROT' is not a setting and has no effect; did you mean VYOMO_RT_PORT?\n"
    )


def test_a_log_line_has_utc_milliseconds_level_and_place_and_libraries_keep_quiet() -> None:
    done = run(
        "-c",
        "import logging; from vyomo_rt import logs; logs.configure('info')\n"
        "logging.getLogger('vyomo_rt.web').info('hello')\n"
        "logging.getLogger('vyomo_rt.web').debug('hidden')\n"
        "logging.getLogger('pymongo.command').info('hidden')\n"
        "logging.getLogger('aiohttp.access').error('hidden')\n",
        TZ="Asia/Kolkata",
    )
    assert done.stdout == ""
    assert [line.split(" ", 1)[1] for line in done.stderr.splitlines()] == [
        "INFO  vyomo_rt.web  hello"
    ]


# In this process


def test_a_log_line_tells_the_time_in_utc() -> None:
    record = logging.makeLogRecord(
        {"name": "a.b", "levelname": "INFO", "msg": "x\ny %s", "args": (1,)}
    )
    record.created, record.msecs = 1_795_341_600.0, 123.0
    assert logs.OneLine().format(record) == r"2026-11-22T10:00:00.123Z INFO  a.b  x\ny 1"


def test_default_env_prints_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["default-env"]) == 0
    assert capsys.readouterr().out == config.default_env()


def test_version_is_that_of_the_installed_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["version"]) == 0
    assert capsys.readouterr().out == f"vyomo-rt {importlib.metadata.version('vyomo-rt')}\n"


def test_the_help_of_serve_has_its_flags_and_no_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stopped:
        command_line.main(["serve", "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    flags = {field.flag for field in config.FIELDS if f"[{field.flag}" in text}
    assert flags == {
        "--host",
        "--port",
        "--data-dir",
        "--mongo-uri",
        "--take-over",
        "--feed",
        "--demo",
        "--trade-on-delayed",
        "--market-hours",
        "--speed",
        "--from",
        "--record",
        "--with-commands",
        "--calendar",
        "--allow-open",
        "--trusted-proxy",
        "--log-level",
    }


@pytest.mark.parametrize("arguments", [["serve", "--prot", "1"], ["serve", "--por", "1"], ["go"]])
def test_a_misspelt_flag_or_command_exits_with_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        command_line.main(arguments)
    assert stopped.value.code == 2
    assert arguments[-1] in capsys.readouterr().err


def test_serve_hands_the_settings_to_the_app_and_ends_with_0(
    app_is: Callable[[Serve], None],
) -> None:
    served: list[Settings] = []

    async def serve(settings: Settings) -> None:
        served.append(settings)

    app_is(serve)
    assert command_line.main(["serve", "--demo", "--port", "0"]) == 0
    assert served == [config.Settings(demo=True, feed=("sim",), port=0)]


def test_serve_logs_the_warning_about_an_open_address_at_every_start(
    app_is: Callable[[Serve], None], caplog: pytest.LogCaptureFixture
) -> None:
    async def serve(settings: Settings) -> None:
        pass

    app_is(serve)
    assert command_line.main(["serve", "--host", "0.0.0.0", "--allow-open"]) == 0
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "without access control" in caplog.text


def test_a_problem_at_start_is_one_line_and_exit_code_1(
    app_is: Callable[[Serve], None], capfd: pytest.CaptureFixture[str]
) -> None:
    async def serve(settings: Settings) -> None:
        raise CannotStart("port 4025 is taken")

    app_is(serve)
    assert command_line.main(["serve"]) == 1
    assert capfd.readouterr().err == "vyomo-rt: port 4025 is taken\n"


def test_ctrl_c_exits_quietly_with_130(
    app_is: Callable[[Serve], None], capsys: pytest.CaptureFixture[str]
) -> None:
    async def serve(settings: Settings) -> None:
        raise KeyboardInterrupt

    app_is(serve)
    assert command_line.main(["serve"]) == 130
    assert capsys.readouterr().err == ""


def test_a_calendar_that_is_wrong_is_named_with_its_row_and_field(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"years": [2027], "holidays": [{"date": "26-01-2027", "name": "x"}]}')
    done = run("-m", "vyomo_rt", "check-config", "--calendar", str(path))
    expected = "holidays, row 1, date: expected a date, such as 2027-01-26, got '26-01-2027'"
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"vyomo-rt: the calendar {path}: {expected}\n"
    path.unlink()
    done = run("-m", "vyomo_rt", "serve", "--port", "0", "--calendar", str(path))
    assert done.returncode == 1
    assert f"the calendar {path} cannot be read: No such file or directory" in done.stderr
