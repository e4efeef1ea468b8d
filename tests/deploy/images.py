"""A Dockerfile carried out in a folder: its paths there, its user real, its Python this one.

Knows what the Dockerfile of this project uses, and refuses the rest.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_TELLING = frozenset(
    ("FROM", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "STOPSIGNAL", "ENTRYPOINT", "CMD")
)


class Instruction(NamedTuple):
    name: str
    text: str


def instructions(dockerfile: Path) -> list[Instruction]:
    """Its lines, joined where they end in a backslash."""
    lines = re.sub(r"^#.*\n", "", dockerfile.read_text(), flags=re.M).replace("\\\n", "")
    return [Instruction(*line.split(" ", 1)) for line in lines.splitlines() if line]


class Image:
    """What a Dockerfile makes, under a root of its own.

    ``told`` holds the instructions that only say something about the image.
    """

    def __init__(self, dockerfile: Path, root: Path) -> None:
        self._context = dockerfile.parent
        self.root = root
        self.environ = {"PATH": os.environ["PATH"]}
        self.told: dict[str, str] = {}
        done = {"COPY": self._copy, "RUN": self._run, "ENV": self._env}
        for name, text in instructions(dockerfile):
            if name in done:
                done[name](text)
            elif name in _TELLING:
                self.told[name] = text
            else:
                raise NotImplementedError(name)

    @property
    def health_check(self) -> list[str]:
        """The command of HEALTHCHECK."""
        command: list[str] = json.loads(self.told["HEALTHCHECK"].partition(" CMD ")[2])
        return command

    def _inside(self, text: str) -> str:
        """The same text with the image's own folders under the root."""
        return re.sub(r"(?<![\w./-])/(src|opt|data)\b", rf"{self.root}/\1", text)

    def _copy(self, text: str) -> None:
        if text.startswith("--from="):
            _, source, target = text.split()
            assert source == target, "both stages have the same root here"
            return
        source, target = text.split()
        assert source == "."
        included = re.findall(r"^!(.+)$", (self._context / ".dockerignore").read_text(), re.M)
        to = Path(self._inside(target))
        to.mkdir(parents=True)
        for name in included:
            path = self._context / name
            if path.is_dir():
                ignore = shutil.ignore_patterns("__pycache__")
                shutil.copytree(path, to / name, symlinks=True, ignore=ignore)
            else:
                shutil.copy(path, to / name)

    def _env(self, text: str) -> None:
        for item in shlex.split(text):
            variable, _, value = item.partition("=")
            self.environ[variable] = self._inside(value.replace("$PATH", self.environ["PATH"]))

    def _run(self, text: str) -> None:
        """The project is installed, its libraries are those of the tests."""
        command = self._inside(text)
        if os.getuid() != 0:
            command = re.sub(r" -[og] \d+", "", command)
        environ = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_DEPS": "1",
        }
        done = subprocess.run(
            ["sh", "-ec", command], env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        for packages in self.root.glob("opt/*/lib/python*/site-packages"):
            # A path in a .pth file brings no .pth files of its own: this checkout stays outside.
            (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def command(self, *arguments: str) -> list[str]:
        """What a container of this image runs."""
        words = arguments or json.loads(self.told["CMD"])
        return self.as_user([*json.loads(self.told["ENTRYPOINT"]), *words])

    def as_user(self, command: Sequence[str]) -> list[str]:
        """The command with the rights of the image's user, who also may read all files here.

        The Python of this machine may lie in a home folder; nothing more can be written.
        """
        if os.getuid() != 0:
            return list(command)
        user, _, group = self.told["USER"].partition(":")
        capabilities = "-all,+dac_read_search"
        return [
            "setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups",
            f"--inh-caps={capabilities}", f"--ambient-caps={capabilities}", *command,
        ]  # fmt: skip
