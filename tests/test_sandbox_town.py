"""The sandbox as a whole, as far as it can be told without starting it."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

from bridge.commands.sandbox import _addresses
from bridge.sandbox.town import Town
from bridge.settings import load


def test_a_shell_is_given_the_settings_that_the_bridge_runs_with(tmp_path: Path) -> None:
    folder = tmp_path / "the sandbox's own"
    town = Town(folder, port=0, quiet=True, more={"BRIDGE_MAIL_FROM_NAME": 'The "Academy\'s" $HOME'})
    said = dict(_addresses(town))["By command"].split("   ")[0]
    env = subprocess.run(["/bin/sh", "-c", f"{said} && exec /usr/bin/env -0"], env={}, capture_output=True, check=True)
    taken = dict(line.split("=", 1) for line in env.stdout.decode().split("\0") if line.startswith("BRIDGE_"))
    assert load(environ=taken) == town.settings
    assert town.settings.mail.from_name == 'The "Academy\'s" $HOME'


def test_what_is_secret_is_for_its_owner_alone(tmp_path: Path) -> None:
    assert stat.S_IMODE(Town(tmp_path, port=0).env_file.stat().st_mode) == 0o600
