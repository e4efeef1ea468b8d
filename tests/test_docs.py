"""The documentation tells the truth: commands run, links lead somewhere, lists are whole."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any, get_args

import aiohttp
import msgspec
import pytest

from lab.load import options as load_options
from tests.kit.documents import PROTOCOL, README, ROOT, Step, blocks, steps
from tests.kit.rest import Rest
from tests.kit.server import MakeServer
from tests.kit.vocabulary import error_codes, subclasses
from tests.kit.waiting import PATIENCE_S
from vyomo_rt import config
from vyomo_rt.__main__ import main
from vyomo_rt.wire import decoding
from vyomo_rt.wire.closing import CloseCode
from vyomo_rt.wire.commands import Command, to_command
from vyomo_rt.wire.encoding import Message, encode

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_SERVER_FLAGS = {"demo": ["--demo"], "ingest": ["--feed", "ingest"]}
_SERVED = [(README, "demo"), (README, "ingest"), (PROTOCOL, "ingest")]
_ALONE = [(README, "cli"), (ROOT / "docs" / "access.md", "access")]
_ADDRESS = "localhost:4025"


class Shell:
    """Runs steps against a server that has another port, and other ids, than the document."""

    def __init__(self, folder: Path, url: str = f"http://{_ADDRESS}") -> None:
        self._folder = folder
        self._address = url.removeprefix("http://")
        self._ids: dict[str, str] = {}
        self._environ = {
            name: value for name, value in os.environ.items() if not name.startswith(config.PREFIX)
        }
        self._environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    async def run(self, step: Step) -> None:
        """Run a command; it must succeed, or be one that never ends, and print its lines."""
        command = step.command.replace(_ADDRESS, self._address)
        for written, actual in self._ids.items():
            command = command.replace(written, actual)
        endless = re.search(r"\bcurl -\w*N", command) is not None
        process = await asyncio.create_subprocess_exec(
            *("bash", "-o", "pipefail", "-c", command.replace("curl ", "curl -sS ")),
            cwd=self._folder,
            env=self._environ,
            start_new_session=True,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            output = await self._read(process, step.printed, endless=endless)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            code = await process.wait()
        assert endless or code == 0, f"{step.command}: exit code {code}\n{output}"
        missing = next(iter(_missing(step.printed, output)), None)
        assert missing is None, f"{step.command}: no line {missing!r} (in this order) in\n{output}"

    async def _read(
        self, process: asyncio.subprocess.Process, printed: list[str], *, endless: bool
    ) -> str:
        """What it prints until its end or, if it has none, until all that is expected is there."""
        assert process.stdout is not None
        output = ""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while data := await process.stdout.read(65_536):
                    output += data.decode()
                    if endless and not _missing(printed, output):
                        break
                else:
                    await process.wait()
        self._learn_id(printed, output)
        return output.replace(self._address, _ADDRESS)

    def _learn_id(self, printed: list[str], output: str) -> None:
        """A document names a trade that it opens; here that may have another id."""
        pattern = re.compile(r'"tradeId":(\d+)')
        written, actual = (pattern.search(text) for text in ("\n".join(printed), output))
        if actual:
            self._ids["TRADE_ID"] = actual[1]
        if written and actual:
            self._ids[f"/trades/{written[1]}"] = f"/trades/{actual[1]}"


def _missing(printed: list[str], output: str) -> list[str]:
    """The expected lines that are not there; `…` is anything, and others may lie between."""
    lines = iter(output.replace("\r\n", "\n").splitlines())
    ids = re.compile(r'"tradeId":\d+')
    patterns = [
        ".*".join(re.escape(part) for part in ids.sub('"tradeId":…', line).split("…"))
        for line in printed
    ]
    return [
        line
        for line, pattern in zip(printed, patterns, strict=True)
        if not any(re.fullmatch(pattern, actual) for actual in lines)
    ]


@pytest.mark.parametrize(
    ("document", "mark"),
    _SERVED,
    ids=lambda value: value.name if isinstance(value, Path) else value,
)
async def test_commands_against_a_server_print_what_the_document_says(
    document: Path, mark: str, server_process: MakeServer, tmp_path: Path
) -> None:
    shell = Shell(tmp_path, await server_process(*_SERVER_FLAGS[mark]).start())
    found = steps(document, mark)
    assert found
    for step in found:
        await shell.run(step)


@pytest.mark.parametrize(("document", "mark"), _ALONE)
async def test_commands_without_a_server_print_what_the_document_says(
    document: Path, mark: str, tmp_path: Path
) -> None:
    found = steps(document, mark)
    assert found
    for step in found:
        await Shell(tmp_path).run(step)


async def test_the_messages_to_paste_into_a_websocket_are_answered(
    server_process: MakeServer,
) -> None:
    url = await server_process(*_SERVER_FLAGS["demo"]).start()
    (block,) = blocks(README, "json", "ws")
    wanted = {"session_update", "price_update", "pong"}
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{url}/ws/auto-trader") as ws,
        asyncio.timeout(PATIENCE_S),
    ):
        for line in block.text.splitlines():
            await ws.send_str(line)
        while wanted:
            message = await ws.receive_json()
            assert message["type"] != "error", message
            wanted.discard(message["type"])


def test_no_block_of_commands_is_left_out() -> None:
    """A console block is run by one of these tests; a sh block says that it is not.

    That of docs/nodes.md is run as a whole by a test of nodes.
    """
    run = {(d, block.mark) for d in DOCUMENTS for block in blocks(d, "console")}
    assert run == {*_SERVED, *_ALONE}
    assert {block.mark for d in DOCUMENTS for block in blocks(d, "sh")} == {"by-hand", "nodes"}


def test_what_is_left_to_do_by_hand_is_at_least_spelled_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The targets of make exist, and serve and the load test accept their flags."""
    texts = [block.text for d in DOCUMENTS for block in blocks(d, "sh", "by-hand")]
    commands = [line.partition("#")[0] for text in texts for line in text.splitlines()]
    monkeypatch.chdir(ROOT)
    targets = [target for command in commands for target in re.findall(r"^make (\S+)", command)]
    subprocess.run(["make", "--dry-run", *set(targets)], check=True)
    for command in commands:
        if served := re.search(r"vyomo-rt serve([^2&]*)", command):
            assert main(["check-config", *served[1].split()]) == 0
        elif tested := re.search(r"scripts/load_test\.py(.*)", command):
            load_options.parse(tested[1].split(), "")


async def test_the_python_program_prints_prices(server_process: MakeServer, tmp_path: Path) -> None:
    url = await server_process(*_SERVER_FLAGS["demo"]).start()
    (block,) = blocks(README, "python", "client")
    program = tmp_path / "program.py"
    program.write_text(block.text.replace(f"http://{_ADDRESS}", url))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", program), stdout=subprocess.PIPE
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert process.stdout is not None
            printed = (await process.stdout.readline()).decode()
    finally:
        process.kill()
        await process.wait()
    assert re.fullmatch(r"NIFTY \d+(\.\d+)?\n", printed)


_BROKERS_LIBRARY = """
class KiteTicker:
    MODE_LTP = "ltp"

    def __init__(self, api_key, access_token):
        assert (api_key, access_token) == ("key", "token")

    def subscribe(self, tokens):
        self.tokens = tokens

    def set_mode(self, mode, tokens):
        assert (mode, tokens) == ("ltp", self.tokens)

    def connect(self):
        self.on_connect(self, {})
        self.on_ticks(self, [
            {"instrument_token": token, "last_price": 100.05} for token in self.tokens
        ])
"""
"""As far as the example uses it, as of version 5: a real one needs an account."""


async def test_the_program_for_a_brokers_library_pushes_its_prices(
    server: Rest, tmp_path: Path
) -> None:
    (block,) = blocks(README, "python", "feed")
    (tmp_path / "program.py").write_text(block.text.replace(f"http://{_ADDRESS}", server.url))
    (tmp_path / "kiteconnect.py").write_text(_BROKERS_LIBRARY)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "program.py"),
        cwd=tmp_path,
        env=os.environ | {"KITE_API_KEY": "key", "KITE_ACCESS_TOKEN": "token"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    async with asyncio.timeout(PATIENCE_S):
        printed, _ = await process.communicate()
    assert (process.returncode, printed) == (0, b"")
    _, listed = await server.call("GET", "/prices")
    prices = {quote["symbol"]: quote["price"] for quote in listed["prices"]}
    assert prices == {"NIFTY": 100.05, "BANKNIFTY": 100.05}


def test_the_javascript_uses_what_the_module_offers() -> None:
    (block,) = blocks(README, "js", "module")
    name, path = re.findall(r'import \{ (\w+) \} from "http://localhost:4025/(\S+)"', block.text)[0]
    module = (ROOT / path).read_text()
    assert f"export class {name} " in module
    for method in re.findall(r"client\.(\w+)\(", block.text):
        assert re.search(rf"^  {method}\(", module, re.M), method
    for event in re.findall(r'client\.on\("(\w+)"', block.text):
        assert f"}}}} {event}\n" in module, event


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_lead_somewhere(document: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        file = document.parent / path if path else document
        assert file.exists(), target
        assert not anchor or anchor in _anchors(file), target


def _anchors(document: Path) -> Iterator[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    for heading in re.findall(r"^#+ (.*)$", document.read_text(), re.M):
        yield re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", ["guarantees", "security"])
def test_every_test_that_is_said_to_hold_a_promise_exists(page: str) -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / f"{page}.md").read_text()))
    files = (ROOT / "tests").rglob("test_*.py")
    there = {name for file in files for name in re.findall(r"def (test_\w+)", file.read_text())}
    assert named
    assert named <= there, f"no such tests: {sorted(named - there)}"


def test_every_decision_is_listed_with_its_status_and_date() -> None:
    listed = (ROOT / "ARCHITECTURE.md").read_text()
    for record in (ROOT / "docs" / "adr").glob("*.md"):
        assert f"docs/adr/{record.name}" in listed
        number = int(record.name[:4])
        title, _, status, *_ = record.read_text().splitlines()
        assert title.startswith(f"# {number}. ")
        said = re.fullmatch(
            r"(Accepted|Superseded by \[\d+\]\(\d{4}-[\w-]+\.md\)) on ([\d-]+)\.", status
        )
        assert said, f"{record.name}: the third line says since when it holds"
        assert date.fromisoformat(said[2]) <= datetime.now(UTC).date()


def test_the_code_map_names_every_file_and_no_other() -> None:
    package = ROOT / "vyomo_rt"
    mapped = re.findall(r"`([\w/]+\.(?:py|json))`", (ROOT / "ARCHITECTURE.md").read_text())
    client = ROOT / "vyomo_rt_client"
    existing = {str(path.relative_to(package)) for path in package.rglob("*.py")}
    existing |= {str(path.relative_to(ROOT)) for path in client.rglob("*.py")}
    assert {path for path in existing if not path.endswith("/__init__.py")} <= set(mapped)
    for path in mapped:
        assert (package / path).exists() or (ROOT / path).exists(), path


def test_the_protocol_page_lists_every_message_type_error_code_and_close_code() -> None:
    page = PROTOCOL.read_text()
    commands = {_tag(command) for command in get_args(Command)}
    for tag in {_tag(message) for message in _server_messages()} | commands:
        assert f'{{"type":"{tag}"' in page, tag
    for code in error_codes():
        assert f"| `{code}` |" in page, code
    rows = {f"| {code} | {code.words} | {code.reconnect.value} |" for code in CloseCode}
    assert set(re.findall(r"^\| \d{4} \|.*", page, re.M)) == rows


def test_every_example_of_a_server_message_is_one_that_the_server_could_send() -> None:
    any_message = reduce(or_, _server_messages())
    lines = [line for b in blocks(PROTOCOL, "json", "server") for line in b.text.splitlines()]
    assert lines
    for line in lines:
        message = msgspec.json.decode(line, type=any_message)
        assert encode(message).decode() == line


def test_every_example_of_a_client_message_is_understood() -> None:
    lines = [line for b in blocks(PROTOCOL, "json", "client") for line in b.text.splitlines()]
    assert lines
    for line in lines:
        fields = decoding.parse_object(line)
        command = to_command(fields)
        known = {field.encode_name for field in msgspec.structs.fields(command)}
        assert fields.keys() - {"type"} <= known, line


def test_every_setting_that_is_named_exists_with_the_default_that_is_named() -> None:
    fields = {field.variable: field for field in config.FIELDS}
    files = {field.file_variable for field in config.FIELDS}
    for document in DOCUMENTS:
        text = document.read_text()
        for name in re.findall(r"VYOMO_RT_[A-Z_]*[A-Z]", text):
            is_known = name in fields or name in files or name.startswith("VYOMO_RT_TEST_")
            assert is_known, f"{document.name}: {name}"
        for name, default in re.findall(r"^\| `(VYOMO_RT_\w+)` \| (\S+) \|", text, re.M):
            assert fields[name].text(fields[name].default) == default, name
        for flag in re.findall(r"`--([a-z-]+)", text):
            assert flag in {field.flag[2:] for field in config.FIELDS} | {"env-file", "help"}, flag


def test_the_changelog_knows_the_version() -> None:
    version = re.findall(r"^version = (\S+)$", (ROOT / "setup.cfg").read_text(), re.M)[0]
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


def _server_messages() -> list[Any]:
    return list(subclasses(Message))


def _tag(struct: Any) -> str:
    return str(struct.__struct_config__.tag)


def test_nothing_is_imported_from_a_test_module() -> None:
    """What tests share is in tests/kit."""
    imports = re.compile(r"^(?:from|import) tests\S*\.test_\w+", re.M)
    for file in (ROOT / "tests").rglob("*.py"):
        assert not imports.findall(file.read_text()), file
