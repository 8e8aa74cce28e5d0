"""Who may import whom, and that importing does nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(path for path in (ROOT / "bridge").rglob("*.py") if "migrations" not in path.parts)


def module_of(path: Path) -> str:
    """bridge/store/work.py is bridge.store.work."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


def imported_by(path: Path) -> set[str]:
    """Every module of ours that a file imports, at the top, inside of a function, or for type checking only."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports by a relative name"
            base = node.module or ""
            # "from bridge import metrics" names a module, "from bridge.http import Wire" something in one.
            found |= {f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base for alias in node.names}
    return {name for name in found if name == "bridge" or name.startswith("bridge.")}


def outside(path: Path, *allowed: str) -> set[str]:
    """What a file imports beyond these modules and what is below them."""
    return {n for n in imported_by(path) if not any(n == one or n.startswith(f"{one}.") for one in allowed)}


def below(package: str) -> list[str]:
    return sorted(name for name in MODULES if name == package or name.startswith(f"{package}."))


def test_the_files_are_found() -> None:
    assert {"bridge.errors", "bridge.domain.catalogue", "bridge.store.work", "bridge.cli"} <= MODULES.keys()
    assert imported_by(MODULES["bridge.http"]) == {"bridge.errors", "bridge.metrics"}


@pytest.mark.parametrize("name", below("bridge.domain"))
def test_the_rules_know_nothing_but_each_other(name: str) -> None:
    assert outside(MODULES[name], "bridge.domain") == set()


@pytest.mark.parametrize("name", below("bridge.domain"))
def test_the_rules_read_no_clock_no_network_and_no_database(name: str) -> None:
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    tops = {alias.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
    tops |= {(n.module or "").split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert (
        tops & {"requests", "urllib3", "socket", "sqlalchemy", "flask", "time", "os", "pathlib", "threading"} == set()
    )


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("bridge.errors", ()),
        ("bridge.metrics", ()),
        ("bridge.http", ("bridge.errors", "bridge.metrics")),
        ("bridge.woo_rows", ("bridge.errors", "bridge.domain")),
        ("bridge.woo_client", ("bridge.errors", "bridge.http", "bridge.domain", "bridge.woo_rows")),
        ("bridge.totara_answers", ("bridge.errors", "bridge.domain")),
        ("bridge.totara_wire", ("bridge.errors", "bridge.http", "bridge.totara_answers")),
        (
            "bridge.totara_client",
            ("bridge.errors", "bridge.http", "bridge.domain", "bridge.totara_answers", "bridge.totara_wire"),
        ),
        ("bridge.stripe_client", ("bridge.errors", "bridge.http", "bridge.domain")),
        ("bridge.letters.render", ("bridge.errors", "bridge.domain", "bridge.letters")),
        ("bridge.mail", ("bridge.errors", "bridge.metrics", "bridge.http", "bridge.domain", "bridge.letters")),
        ("bridge.settings", ("bridge.errors", "bridge.domain")),
    ],
)
def test_what_lies_below_does_not_know_what_lies_above(name: str, allowed: tuple[str, ...]) -> None:
    assert outside(MODULES[name], *allowed) == set()


def test_the_clients_do_not_know_each_other() -> None:
    clients = {"bridge.totara_client", "bridge.woo_client", "bridge.stripe_client"}
    for name in clients:
        assert not imported_by(MODULES[name]) & clients


@pytest.mark.parametrize("name", below("bridge.store"))
def test_the_store_knows_the_rules_and_the_errors_only(name: str) -> None:
    assert outside(MODULES[name], "bridge.domain", "bridge.errors", "bridge.store") == set()


@pytest.mark.parametrize("name", [name for name in MODULES if not name.startswith("bridge.sandbox")])
def test_only_its_own_command_knows_the_sandbox(name: str) -> None:
    if name == "bridge.commands.sandbox":
        return
    assert {one for one in imported_by(MODULES[name]) if one.startswith("bridge.sandbox")} == set()


def test_importing_every_module_calls_nobody_writes_nothing_and_says_nothing(tmp_path: Path) -> None:
    program = f"""
import builtins, socket, sys
sys.path.insert(0, {str(ROOT)!r})

def refuse(*_, **__):
    raise RuntimeError("importing opened a socket")

socket.socket.connect = socket.socket.bind = socket.socket.listen = refuse
socket.create_connection = socket.getaddrinfo = refuse
opened = builtins.open
def only_reads(file, mode="r", *rest, **named):
    if set(mode) & set("wax+"):
        raise RuntimeError(f"importing wrote to {{file}}")
    return opened(file, mode, *rest, **named)
builtins.open = only_reads
import importlib, threading
for name in {list(MODULES)!r}:
    if not name.endswith("__main__"):
        importlib.import_module(name)
assert threading.active_count() == 1, threading.enumerate()
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-B", "-c", program],
        cwd=tmp_path, env={}, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_answers_help_without_settings(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bridge", "--help"],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "sandbox" in done.stdout
