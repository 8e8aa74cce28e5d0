"""Real processes of the bridge: started, killed, started again. Only what was started here is ever ended."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import requests

SECRET = "a-secret-of-the-shop-0123"


def free_port() -> int:
    """A free port of the loopback interface, below those that outgoing connections take."""
    for _ in range(1000):
        port = random.randint(18000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port on the loopback interface")


def environment(database: str, shop: str, totara: str, port: int, **settings: object) -> dict[str, str]:
    """The environment of a bridge between these two. ``settings`` are like ``work_lease_seconds=1``."""
    values: dict[str, object] = {
        "database_url": database,
        "server_bind": f"127.0.0.1:{port}",
        "server_public_url": f"http://127.0.0.1:{port}",
        "shop_url": shop,
        "shop_consumer_key": "ck_sandbox",
        "shop_consumer_secret": "cs_sandbox",
        "shop_webhook_secrets": SECRET,
        "totara_url": totara,
        "totara_client_id": "sandbox-client",
        "totara_client_secret": "sandbox-client-secret",
        "totara_ws_token": "sandbox-ws-token",
        "totara_tenant": "academy",
        "catalogue_allow": '[{"shortname": "*"}]',
        "catalogue_prices": '[{"shortname": "*", "price": "100.00"}]',
        "log_level": "warning",
        **settings,
    }
    return {f"BRIDGE_{name.upper()}": str(value) for name, value in values.items()}


class Process:
    """One process in a group of its own. Standard error goes to ``log``."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], log: Path) -> None:
        others = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")}
        root = str(Path(__file__).parents[1])
        path = os.pathsep.join(filter(None, (root, others.get("PYTHONPATH"))))
        self._begins = log.stat().st_size if log.exists() else 0
        with log.open("ab") as errors:
            self._popen = subprocess.Popen(
                command,
                env={**others, **environ, "PYTHONPATH": path, "TMPDIR": str(log.parent)},
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                start_new_session=True,
            )
        self.pid = self._popen.pid
        self.log = log

    def returncode(self) -> int | None:
        """How it ended; None while it runs."""
        return self._popen.poll()

    def wait(self, seconds: float) -> int:
        """Wait for its end."""
        return self._popen.wait(seconds)

    def kill(self) -> None:
        """SIGKILL to it and to those it has started, as a power cut would."""
        if self._popen.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()

    def stop(self, seconds: float = 20.0) -> int:
        """SIGTERM, and SIGKILL if it does not heed that in time; how it ended."""
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGTERM)
            try:
                return self._popen.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        return self._popen.wait()

    def ready(self) -> bool:
        """Whether this process has got so far as to receive or to work."""
        mine = self.log.read_bytes()[self._begins :]
        return b'"listening"' in mine or b'"working"' in mine

    def peak(self) -> float:
        """The peak of its resident memory so far, in MiB; 0 when it is gone."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        except (FileNotFoundError, ProcessLookupError):
            return 0.0
        return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0.0)

    def told(self) -> str:
        """What it wrote to standard error so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")


def bridge(command: str, environ: Mapping[str, str], log: Path) -> Process:
    """``bridge serve``, ``bridge work``, ``bridge run``, or any other command."""
    return Process([sys.executable, "-m", "bridge", *command.split()], environ, log)


def wait_for(url: str, process: Process, seconds: float = 30.0) -> None:
    """Wait until the address answers 200."""
    until = time.monotonic() + seconds
    with requests.Session() as session:
        session.trust_env = False
        while time.monotonic() < until:
            if process.returncode() is not None:
                raise RuntimeError(f"the process ended with {process.returncode()}: {process.told()[-2000:]}")
            try:
                if session.get(url, timeout=2).status_code == 200:
                    return
            except requests.RequestException:
                pass
            time.sleep(0.02)
    raise RuntimeError(f"no answer within {seconds:.0f} s: {process.told()[-2000:]}")
