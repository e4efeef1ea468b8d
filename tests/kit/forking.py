"""Processes of the program, and of scripts beside it, that begin with its modules loaded.

Loading them is more than half of what a start costs. So each worker keeps a process that has done
it and forks. What comes out is a process like any other, a child of the worker, with its own
arguments, environment, folder, input and output. Whatever asks for more than that, such as another
interpreter, other settings of Python or a session of its own, is started as always.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import socket
import subprocess
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from tests.kit import origin

PROGRAM = (sys.executable, "-m", "vyomo_rt")
TRUSTS_NOBODY = {"SSL_CERT_FILE": os.devnull}
"""Reading the certificates of all authorities is a twelfth of what a start costs."""
_READ_BEFORE = ("PYTHON", "LD_", "SSL_", "MALLOC_", "LC_", "LANG")
"""How the names of variables begin that count before the program's first line does."""
_PR_SET_CHILD_SUBREAPER = 36
_NO_WISHES = (True, False, -1, None, None, None, -1, None)
"""Signals as usual, no session, group or user of its own, and nothing to do before it begins."""
_ROOT = Path(__file__).parents[2]


async def start_program(
    *arguments: object,
    environ: Mapping[str, str] = MappingProxyType({}),
    stdout: int = PIPE,
    stderr: int = PIPE,
) -> Process:
    """``vyomo-rt`` with arguments, as a process of its own, and more of an environment."""
    return await asyncio.create_subprocess_exec(
        *(*PROGRAM, *map(str, arguments)),
        stdout=stdout,
        stderr=stderr,
        env={**os.environ, **TRUSTS_NOBODY, **environ},
    )


class _Origin:
    """The process that forks."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._environ = os.environ | TRUSTS_NOBODY
            self._process = subprocess.Popen(
                (sys.executable, "-P", origin.__file__, str(theirs.fileno())),
                stdin=subprocess.DEVNULL,
                env=self._environ,
                pass_fds=(theirs.fileno(),),
            )

    def would_have(self, environ: Mapping[str, str]) -> bool:
        """Whether an environment differs from its own only in what the program reads itself."""
        return all(
            self._environ.get(name) == environ.get(name)
            for name in self._environ.keys() | environ.keys()
            if name.startswith(_READ_BEFORE)
        )

    def fork(
        self, arguments: Sequence[str], cwd: str, environ: Mapping[str, str], files: Sequence[int]
    ) -> int:
        """Start a process, and return its id."""
        request = json.dumps([arguments, cwd, dict(environ)]).encode()
        with _adopting():
            socket.send_fds(self._socket, [request], files)
            process_id = int(self._socket.recv(64))
            assert self._socket.recv(64), "its parent has ended"
            return process_id

    def end(self) -> None:
        self._socket.close()
        self._process.wait()


@contextmanager
def _adopting() -> Iterator[None]:
    """A grandchild whose parent ends meanwhile is this process's child then."""
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        prctl(_PR_SET_CHILD_SUBREAPER, 0)


@contextmanager
def forked_programs() -> Iterator[None]:
    """As long as this lasts, processes of the program begin with its modules loaded."""
    if sys.platform != "linux":  # no other system lets a grandchild be adopted
        yield
        return
    start = vars(subprocess)["_fork_exec"]
    origins: list[_Origin] = []

    def start_or_fork(*how: Any) -> int:
        command, _, close, kept, cwd, environ, stdin, _, _, stdout, _, stderr, _, _, *wishes = how
        command = tuple(map(os.fsdecode, command))
        is_plain = close and len(kept) == 1 and tuple(wishes[:8]) == _NO_WISHES
        if is_plain and _is_of_the_house(command):
            if not origins:
                origins.append(_Origin())
            variables = _as_mapping(environ)
            if origins[0].would_have(variables):
                files = [
                    own if file < 0 else file for own, file in enumerate((stdin, stdout, stderr))
                ]
                folder = os.fsdecode(cwd or Path.cwd())
                return origins[0].fork(command[1:], folder, variables, files)
        return int(start(*how))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "_fork_exec", start_or_fork)
        yield
    for each in origins:
        each.end()


def _is_of_the_house(command: Sequence[str]) -> bool:
    """Whether it is the program or one of our own scripts."""
    is_script = command[1:] and command[1].endswith(".py") and command[1] != origin.__file__
    of_ours = is_script and Path(command[1]).is_relative_to(_ROOT)
    return command[: len(PROGRAM)] == PROGRAM or bool(command[0] == sys.executable and of_ours)


def _as_mapping(environ: Sequence[bytes] | None) -> dict[str, str]:
    if environ is None:
        return dict(os.environ)
    return dict(os.fsdecode(line).split("=", 1) for line in environ)
