"""The systemd unit of docs/deploy.md, read by systemd itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.deploy.proxies import recipe
from tests.kit.machine import program


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    installed = Path(sys.executable).with_name("vyomo-rt")
    assert installed.exists()
    unit = tmp_path / "vyomo-rt.service"
    unit.write_text(recipe("ini", {"/opt/vyomo-rt/bin/vyomo-rt": str(installed)}, "unit"))
    command = [program("systemd-analyze"), "verify", "--man=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if unit.name in line]
    assert (done.returncode, said) == (0, [])
