"""``vyomo-rt doctor`` on the command line: flags, exit codes, and what a terminal shows."""

from __future__ import annotations

import asyncio
import io
import signal

import pytest

from tests.kit.forking import start_program
from tests.kit.rest import Rest
from vyomo_rt import __main__ as command_line
from vyomo_rt.doctor.report import Report, note, skipped, well, wrong
from vyomo_rt.doctor.server import options


async def start(*arguments: str, **environ: str) -> asyncio.subprocess.Process:
    return await start_program("doctor", *arguments, environ=environ)


async def test_all_well_is_exit_code_0_and_a_terminal_without_utf_8_gets_ascii(
    server: Rest,
) -> None:
    await server.tick("NIFTY", 22150.5)
    await server.open_trade(await server.new_session())
    process = await start(server.url.removeprefix("http://"), PYTHONIOENCODING="ascii")
    out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    lines = out.decode("ascii").splitlines()
    assert lines[-1] == "No problems found."
    assert len(lines) == 15
    assert {line[:3] for line in lines[:-1]} == {"ok "}


async def test_it_ends_quietly_when_nobody_reads_on(server: Rest) -> None:
    process = await start(server.url)
    assert process.stdout is not None
    await process.stdout.readline()
    process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]
    assert process.stderr is not None
    assert await process.stderr.read() == b""
    assert await process.wait() == 1


async def test_ctrl_c_ends_it_quietly_with_130(server: Rest) -> None:
    process = await start(server.url, "--idle", "60")
    assert process.stdout is not None
    async for line in process.stdout:
        if b"resumption" in line:
            break
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert (process.returncode, err) == (130, b"")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["ftp://my.app"],
            "URL: expected something like http://localhost:4025, got 'ftp://my.app'",
        ),
        (["http://my.app/?a=1"], "URL: expected something like http://localhost:4025"),
        (["http://my.app:port"], "URL: 'http://my.app:port' is not an address: "),
        (["http://"], "URL: "),
        (["--origin", "my.app"], "--origin: expected something like https://my.app, got 'my.app'"),
        (["--idle", "0"], "--idle: expected seconds, at most 3600, got 0"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    arguments: list[str], says: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert command_line.main(["doctor", *arguments]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(f"vyomo-rt: {says}")
    assert err.count("\n") == 1


def test_addresses_are_taken_as_people_write_them() -> None:
    for text in ("my.app:4025", "ws://my.app:4025/", "http://my.app:4025"):
        assert str(options(text).url).rstrip("/") == "http://my.app:4025"
    assert str(options("ws://my.app:4025/ws/auto-trader").url).rstrip("/") == "http://my.app:4025"
    assert str(options("wss://my.app/rt/").url) == "https://my.app/rt"
    assert options("my.app", origin="HTTPS://My.App/").origin == "https://my.app"
    assert options("my.app", symbol=" nifty ").symbol == "NIFTY"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_what_is_waited_for_and_nothing_from_outside_steers_it() -> None:
    terminal = Terminal()
    report = Report(terminal)
    report.waiting("idle: another 2 s")
    report.waiting("idle: another 1 s")
    report.add("idle", [wrong("cut by \x1b[2J\r\n"), note("₹"), skipped("-"), well("fine")])
    code = report.sum_up(whole=True)
    assert terminal.getvalue() == (
        "\r\x1b[K  idle: another 2 s ..."
        "\r\x1b[K  idle: another 1 s ..."
        "\r\x1b[K✗ idle        cut by ?[2J??\n! idle        ₹\n"
        "- idle        -\n✓ idle        fine\n"
        "1 problem: idle. 1 thing to look at (!).\n"
    )
    assert code == 1
