"""The process that forks: ``python origin.py SOCKET``. See ``forking.py``."""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

_MODULES = ("vyomo_rt.app.process", "vyomo_rt.app.data", "uvloop")
_LONGEST_REQUEST = 1 << 18


def _fork_on_request(requests: socket.socket) -> list[str]:
    """Returns only in a process that was asked for: its arguments."""
    while True:
        request, files, _, _ = socket.recv_fds(requests, _LONGEST_REQUEST, 3)
        if not request:
            sys.exit()
        between = os.fork()
        if not between:
            if child := os.fork():
                requests.send(str(child).encode())
                os._exit(0)
            requests.close()
            return _begin(request, files)
        os.waitpid(between, 0)
        requests.send(b"it is yours")
        for file in files:
            os.close(file)


def _begin(request: bytes, files: Sequence[int]) -> list[str]:
    arguments, folder, environ = json.loads(request)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    os.chdir(folder)
    return list(arguments)


def _main(requests: socket.socket) -> None:
    gc.disable()
    for name in _MODULES:
        importlib.import_module(name)
    gc.freeze()  # a collection in a process would copy what it looks at
    gc.enable()
    flag_or_script, *arguments = _fork_on_request(requests)
    if flag_or_script == "-m":
        module, *sys.argv[1:] = arguments
        sys.path.insert(0, str(Path.cwd()))
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        sys.argv = [flag_or_script, *arguments]
        sys.path.insert(0, str(Path(flag_or_script).parent))
        runpy.run_path(flag_or_script, run_name="__main__")


if __name__ == "__main__":
    _main(socket.socket(fileno=int(sys.argv[1])))
