"""The flags of the load test."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from urllib.parse import urlsplit

from lab.cli import Parser, check_json, number
from lab.site.machine import lack_of_room

PRESETS: dict[str, dict[str, object]] = {
    "original": {
        "clients": 100, "sse_share": 0.0, "symbols": ["NIFTY", "BANKNIFTY", "RELIANCE"],
        "interval_ms": 1000, "duration": 30.0, "connects_per_s": 100.0,
    },
    "heavy": {
        "clients": 2000, "sse_share": 0.5, "symbols": 10,
        "interval_ms": 100, "duration": 30.0, "connects_per_s": 500.0,
    },
}  # fmt: skip
_EPILOG = """\
presets:
  original  100 WebSocket clients 10 ms apart, each with the session and NIFTY, BANKNIFTY and
            RELIANCE every 1000 ms, for 30 s
  heavy     2000 clients, half of them SSE, 500 more each second, 10 symbols every 100 ms, for 30 s

a server of the test's own takes no VYOMO_RT_... variables; for other settings, start one
yourself and name it by --url. It is kept on the first core and the load off it.
"""


def parse(argv: Sequence[str] | None, description: str) -> argparse.Namespace:
    """The flags, over those of a preset, over the defaults; exits if they are wrong."""
    parser = _parser(description)
    if preset := parser.parse_args(argv).preset:
        parser.set_defaults(**PRESETS[preset])
    options = parser.parse_args(argv)
    if options.processes > options.clients:
        parser.error(f"--processes: {options.processes} is more than the clients; use fewer")
    check_json(parser, options.json)
    # A server of the test's own has them all in one process.
    files = -(-options.clients // options.processes) if options.url else options.clients
    if lack := lack_of_room(options.clients, files):
        parser.error(f"--clients: {lack}")
    return options


def _interval(text: str) -> int:
    value = int(number(int, 100, 60_000)(text))
    if value % 100:
        raise argparse.ArgumentTypeError(f"must be a multiple of 100, not {text}")
    return value


def _symbols(text: str) -> int | list[str]:
    if text.strip().isdecimal():
        return int(number(int, 1, 500)(text))
    symbols = [part.strip().upper() for part in text.split(",") if part.strip()]
    if not symbols:
        raise argparse.ArgumentTypeError("name at least one, or how many")
    return list(dict.fromkeys(symbols))


def _url(text: str) -> str:
    parts = urlsplit(text)
    try:
        port_fits = parts.port != 0
    except ValueError:
        port_fits = False
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_fits:
        raise argparse.ArgumentTypeError(f"must be like http://localhost:4025, not {text}")
    if parts.path.strip("/") or parts.query or parts.fragment or parts.username:
        raise argparse.ArgumentTypeError(f"must end after host and port, not {text}")
    return f"{parts.scheme}://{parts.netloc}"


def _parser(description: str) -> argparse.ArgumentParser:
    parser = Parser("load_test.py", description, _EPILOG)
    add = parser.add_argument
    add("--url", type=_url, help="a running server; without it one is started for the test")
    add("--preset", choices=PRESETS, help="a set of the flags below, which still win over it")
    add(
        "--clients",
        metavar="N",
        type=number(int, 1, 1_000_000),
        default=100,
        help="how many connect (default: %(default)s)",
    )
    add(
        "--sse-share",
        metavar="SHARE",
        type=number(float, 0, 1),
        default=0.5,
        help="which part of them takes Server-Sent Events, the others WebSocket (%(default)s)",
    )
    add(
        "--symbols",
        metavar="N|LIST",
        type=_symbols,
        default=3,
        help="so many of the server's, or a list with commas; the same for all (%(default)s)",
    )
    add(
        "--interval-ms",
        metavar="MS",
        type=_interval,
        default=1000,
        help="how often prices come (%(default)s)",
    )
    add(
        "--duration",
        metavar="S",
        type=number(float, 0.5, 1e6),
        default=30.0,
        help="seconds measured, after all have connected (%(default)g)",
    )
    add(
        "--connects-per-s",
        metavar="N",
        type=number(float, 0.1, 1e5),
        default=100.0,
        help="how fast they connect (%(default)g)",
    )
    add(
        "--trades-per-s",
        metavar="N",
        type=number(float, 0, 1000),
        default=2.0,
        help="opened, guarded, halved and closed all the while: eight events of the seven "
        "kinds each (%(default)g)",
    )
    add(
        "--processes",
        metavar="N",
        type=number(int, 1, 1024),
        default=1,
        help="load processes; more where the report says that one is saturated (%(default)s)",
    )
    add(
        "--p99-ms",
        metavar="MS",
        type=number(float, 0, 1e6),
        help="budget: exit 1 if the p99 delay of prices or of trades is longer",
    )
    add(
        "--lost",
        metavar="N",
        type=number(int, 0, 1_000_000_000),
        default=0,
        help="budget: exit 1 if more events were lost, doubled, out of order or altered "
        "(%(default)s)",
    )
    add("--json", metavar="FILE", help="write all figures there; - for standard output")
    return parser
