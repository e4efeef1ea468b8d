"""The command line: ``vyomo-rt`` and ``python -m vyomo_rt``.

Exit codes: 0 done or stopped, 1 could not start (verify, backup, restore, doctor: or found
something), 2 wrong flags or settings, 130 ended at once by a second Ctrl-C.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from vyomo_rt import config, logs
from vyomo_rt.domain.errors import CannotStart
from vyomo_rt.version import version

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from vyomo_rt.config import Settings

    WithFile = Callable[[Settings, Path, Callable[[str], None]], Coroutine[Any, Any, bool]]

log = logging.getLogger("vyomo_rt")

Result = TypeVar("Result")

_LAST_WORD_S = 0.5
_FILE_HELP = "file with a token, for a server with access control"

_FLAGS = [field.name for field in config.FIELDS if field.flag_of]
_STORE_FLAGS = [field.name for field in config.FIELDS if field.flag_of == "store"]
_FLAGS_OF: dict[str, Sequence[str]] = {
    "serve": _FLAGS,
    "check-config": _FLAGS,
    "verify": _STORE_FLAGS,
    "store": ("data_dir", "log_level"),
    "backup": _STORE_FLAGS,
    "restore": _STORE_FLAGS,
}
_EPILOG = (
    "Every flag is also a variable (--port is VYOMO_RT_PORT); a flag wins over its variable. "
    "`vyomo-rt default-env` lists all settings."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (argparse itself exits for --help and misuse)."""
    parser = _parser()
    flags = vars(parser.parse_args(argv))
    run: Callable[[Mapping[str, object]], int] | None = flags.pop("run")
    if run is None:
        parser.print_help(sys.stderr)
        return 2
    try:
        return run(flags)
    except CannotStart as problem:
        _complain(problem)
        return problem.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader closed the pipe (`| head`); Python would flush once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _serve(flags: Mapping[str, object]) -> int:
    settings, warnings = config.load(flags, os.environ)
    logs.configure(settings.log_level)
    for warning in warnings:
        log.warning(warning)
    # What a start makes stays: collections would look through it for an eighth of the CPU time.
    gc.disable()  # `serve` enables it again
    # Only here, because the other commands should answer without loading a web server.
    from vyomo_rt.app.process import serve  # noqa: PLC0415

    _run(serve(settings))
    return 0


def _verify(flags: Mapping[str, object]) -> int:
    settings, _ = config.load(flags, os.environ)
    logs.configure(settings.log_level)
    from vyomo_rt.app.data import verify  # noqa: PLC0415 (as for serve)

    return 0 if _run(verify(settings, partial(print, flush=True))) else 1


def _store(flags: Mapping[str, object]) -> int:
    settings, _ = config.load(flags, os.environ)
    logs.configure(settings.log_level)
    from vyomo_rt.app.process import run_store  # noqa: PLC0415 (as for serve)

    _run(run_store(settings, partial(print, flush=True)))
    return 0


def _backup(flags: Mapping[str, object]) -> int:
    from vyomo_rt.app.data import backup  # noqa: PLC0415 (as for serve)

    return _with_file(backup, flags)


def _restore(flags: Mapping[str, object]) -> int:
    from vyomo_rt.app.data import restore  # noqa: PLC0415 (as for serve)

    return _with_file(restore, flags)


def _with_file(work: WithFile, flags: Mapping[str, object]) -> int:
    settings, _ = config.load(
        {name: flag for name, flag in flags.items() if name != "file"}, os.environ
    )
    logs.configure(settings.log_level)
    # Any signal to stop acts like Ctrl-C, so that half-done work is undone.
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, lambda *_: signal.raise_signal(signal.SIGINT))
    path = Path(str(flags["file"]))
    return 0 if _run(work(settings, path, partial(print, flush=True))) else 1


def _run(main: Coroutine[object, object, Result]) -> Result:
    try:
        import uvloop  # noqa: PLC0415 (not on every platform, and only needed here)
    except ImportError:
        return asyncio.run(_until_ctrl_c(main))
    return uvloop.run(_until_ctrl_c(main))


async def _until_ctrl_c(main: Coroutine[object, object, Result]) -> Result:
    """Cancel at Ctrl-C, but between two steps of the loop.

    asyncio's own handler cancels in the middle of one, which may be the setting of a result.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    pressed = asyncio.Event()

    def interrupt() -> None:
        loop.remove_signal_handler(signal.SIGINT)  # a second one ends the process at once
        pressed.set()
        task.cancel()

    with suppress(NotImplementedError):  # on Windows
        loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        return await main
    except asyncio.CancelledError:
        if pressed.is_set():
            raise KeyboardInterrupt from None
        raise


def _check_config(flags: Mapping[str, object]) -> int:
    settings, warnings = config.load(flags, os.environ)
    from vyomo_rt.app.calendars import calendar_of  # noqa: PLC0415 (as for serve)

    calendar_of(settings)
    print(config.describe(settings, flags, os.environ))
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return 0


def _default_env(_: Mapping[str, object]) -> int:
    print(config.default_env(), end="")
    return 0


def _version(_: Mapping[str, object]) -> int:
    print(f"vyomo-rt {version()}")
    return 0


def _doctor(flags: Mapping[str, Any]) -> int:
    # Only here, like the server: the other commands need no HTTP client.
    from vyomo_rt.doctor.examination import examine  # noqa: PLC0415
    from vyomo_rt.doctor.server import UsageError, options  # noqa: PLC0415

    try:
        return asyncio.run(_until_ctrl_c(examine(options(**flags), sys.stdout)))
    except UsageError as problem:
        _complain(problem)
        return 2


def _record(flags: Mapping[str, Any]) -> int:
    from vyomo_rt.following import record  # noqa: PLC0415 (as for serve)

    _run(record(flags["url"], Path(flags["file"]), flags["token_file"], partial(print, flush=True)))
    return 0


def _keygen(_: Mapping[str, object]) -> int:
    from vyomo_rt.app.tokens import keygen  # noqa: PLC0415 (as for serve)

    print(keygen())
    return 0


def _token(flags: Mapping[str, Any]) -> int:
    from vyomo_rt.app.tokens import make_token  # noqa: PLC0415 (as for serve)

    settings, _ = config.load({}, os.environ)
    print(make_token(settings, **flags))
    return 0


def _check_token(flags: Mapping[str, Any]) -> int:
    from vyomo_rt.app.tokens import check_token  # noqa: PLC0415 (as for serve)

    settings, _ = config.load({}, os.environ)
    token = flags["token"] or sys.stdin.readline()
    return 0 if _run(check_token(settings, token.strip(), print)) else 1


def _complain(problem: Exception) -> None:
    logs.say(f"vyomo-rt: {problem}", sys.stderr, _LAST_WORD_S)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vyomo-rt",
        description="The real-time server behind a trading dashboard.",
        allow_abbrev=False,
    )
    parser.set_defaults(run=None)
    parser.add_argument("--version", action="version", version=f"vyomo-rt {version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, run, about in (
        ("serve", _serve, "run the server until it is told to stop"),
        ("verify", _verify, "compare everything a stopped server stored with its trade events"),
        ("store", _store, "run the embedded store alone and print its URI, for VYOMO_RT_MONGO_URI"),
        ("backup", _backup, "copy a store into a file, even while a server uses it"),
        ("restore", _restore, "fill an empty store with a backup"),
        ("record", _record, "record the prices of a running server from its stream"),
        ("keygen", _keygen, "print a new random key for VYOMO_RT_AUTH_KEY"),
        ("token", _token, "print a token, signed with VYOMO_RT_AUTH_KEY"),
        ("check-token", _check_token, "print what a token allows, or why it is refused"),
        ("check-config", _check_config, "print the settings for serve and where each comes from"),
        ("default-env", _default_env, "print a .env file with every setting and what it means"),
        ("doctor", _doctor, "examine a running server and say what is wrong and what to set"),
        ("version", _version, "print the version"),
    ):
        description = f"{about.capitalize()}."
        command = commands.add_parser(name, help=about, description=description, allow_abbrev=False)
        command.set_defaults(run=run)
        if run in {_backup, _restore}:
            command.add_argument("file", metavar="FILE", help="the backup: gzipped lines of JSON")
        if names := _FLAGS_OF.get(name):
            command.epilog = _EPILOG
            _add_flags(command, names)
        elif run is _token:
            _add_token_flags(command)
        elif run is _check_token:
            _add_token_argument(command)
        elif run is _record:
            _add_record_arguments(command)
        elif run is _doctor:
            command.epilog = "It only reads. Exit code: 0 no problem, 1 a problem, 2 wrong usage."
            _add_doctor_flags(command)
    return parser


def _add_flags(parser: argparse.ArgumentParser, names: Sequence[str]) -> None:
    """Add the settings that have a flag; `config` checks the values, so all are text here."""
    for field in (field for field in config.FIELDS if field.name in names):
        about = field.description.replace("%", "%%")
        if isinstance(field.default, bool):
            parser.add_argument(
                field.flag, dest=field.name, action="store_const", const=True, help=about
            )
        else:
            default = f" Default: {field.text(field.default)}." if field.default is not None else ""
            parser.add_argument(
                field.flag, dest=field.name, metavar=field.called.upper(), help=about + default
            )


def _add_token_argument(parser: argparse.ArgumentParser) -> None:
    about = "default: the first line of standard input, which no other user can see"
    parser.add_argument("token", metavar="TOKEN", nargs="?", help=about)


def _add_token_flags(parser: argparse.ArgumentParser) -> None:
    for flag, metavar, default, about in (
        ("--sub", "NAME", None, "who it is for"),
        ("--role", "ROLE", "viewer", "viewer, trader, feed or admin; default: viewer"),
        ("--sessions", "IDS", "", "such as 6,7, or '*' for all; its own ones are always included"),
        ("--for", "TIME", "8h", "how long it is good: 30m, 8h, 1d; default: 8h"),
    ):
        parser.add_argument(
            flag,
            dest=flag.strip("-").replace("for", "life"),
            metavar=metavar,
            default=default,
            required=default is None,
            help=about,
        )


def _add_record_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Of several prices of a symbol within 100 ms it gets the last; `serve --record` loses none."
    )
    parser.add_argument("url", metavar="URL", help="the server, as http://localhost:4025")
    parser.add_argument("file", metavar="FILE", help="packed if it ends in .gz, or in .zst")
    parser.add_argument("--token-file", metavar="FILE", help=_FILE_HELP)


def _add_doctor_flags(parser: argparse.ArgumentParser) -> None:
    url = "http://localhost:4025"
    parser.add_argument("url", metavar="URL", nargs="?", default=url, help=f"Default: {url}.")
    for flag, metavar, type_, about in (
        (
            "--origin",
            "ORIGIN",
            str,
            "origin of your pages, if not the server's own: https://my.app",
        ),
        ("--session", "ID", int, "session to watch; default: an active one with many events"),
        ("--symbol", "NAME", str, "symbol to watch; default: one with a fresh price"),
        (
            "--idle",
            "SECONDS",
            float,
            "hold quiet connections that long; 70 shows the usual limits",
        ),
        ("--token-file", "FILE", str, _FILE_HELP),
    ):
        parser.add_argument(flag, metavar=metavar, type=type_, help=about)


if __name__ == "__main__":
    sys.exit(main())
