"""A WordPress of the machine's own packages with the shop's plugin in it, for one test run, on loopback.

WooCommerce is no package of Debian's: tests/php/shop.php stands for as much of it as the plugin touches.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

PHP_FILES = Path(__file__).parent / "php"
PLUGIN = Path(__file__).parent.parent / "connectors" / "wordpress" / "academy-bridge"
WORDPRESS = Path("/usr/share/wordpress")
SECRET = "plugin-test-secret_" + "0123456789" * 2
PASSWORD = "Test-Only-Pass-1!"

_CONFIG = """<?php
define( 'DB_NAME', 'wordpress' ); define( 'DB_USER', 'root' ); define( 'DB_PASSWORD', '' );
define( 'DB_HOST', 'localhost:{socket}' ); define( 'DB_CHARSET', 'utf8mb4' ); define( 'DB_COLLATE', '' );
foreach ( array( 'AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE' ) as $of ) {{
    define( $of . '_KEY', 'test-key-' . $of ); define( $of . '_SALT', 'test-salt-' . $of );
}}
define( 'WP_HOME', '{home}' ); define( 'WP_SITEURL', '{home}' );
define( 'DISABLE_WP_CRON', true ); define( 'AUTOMATIC_UPDATER_DISABLED', true );
define( 'WP_HTTP_BLOCK_EXTERNAL', true ); define( 'WP_ACCESSIBLE_HOSTS', '127.0.0.1' );
define( 'WP_DEBUG', true ); define( 'WP_DEBUG_DISPLAY', false ); define( 'WP_DEBUG_LOG', '{log}' );
$table_prefix = 'wp_';
defined( 'ABSPATH' ) || define( 'ABSPATH', __DIR__ . '/' );
require ABSPATH . 'wp-settings.php';
"""


def what_is_missing() -> list[str]:
    """The packages that this needs and the machine does not have."""
    needs = {
        "wordpress": (WORDPRESS / "wp-includes" / "version.php").is_file(),
        "php-cli": shutil.which("php") is not None,
        "mariadb-server": bool(shutil.which("mariadbd") and shutil.which("mariadb-install-db")),
    }
    if needs["php-cli"]:
        loaded = subprocess.run(["php", "-m"], capture_output=True, text=True, check=True).stdout.split()
        needs |= {"php-mysql": "mysqli" in loaded, "php-curl": "curl" in loaded}
    return [package for package, there in needs.items() if not there]


def free_port() -> int:
    """A port of loopback's that nobody listens on."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


def sign_in(page: Page, login: str) -> None:
    """Fill in WordPress' own form, which the page shows."""
    page.get_by_label("Username or Email Address").fill(login)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Log In").click()


class WordPress:
    """A running WordPress, its MariaDB, and PHP's own web server."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bridge-wp-"))
        self.root = self.folder / "wordpress"
        self.log = self.folder / "debug.log"
        port = free_port()
        self.home = f"http://127.0.0.1:{port}"
        self.users: dict[str, int] = {}
        self._running: list[subprocess.Popen[bytes]] = []
        try:
            self._start_database()
            self._lay_out()
            self.php((PHP_FILES / "install.php").read_text(encoding="utf-8"), PASSWORD)
            environment = {**os.environ, "PHP_CLI_SERVER_WORKERS": "3"}
            serve = ["php", "-d", "opcache.enable_cli=1", "-d", "display_errors=0", "-S", f"127.0.0.1:{port}"]
            self._start([*serve, "-t", str(self.root), str(PHP_FILES / "router.php")], environment)
            self._until(lambda: socket.create_connection(("127.0.0.1", port), 1).close())
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop it, and leave nothing behind."""
        for process in reversed(self._running):
            # With its workers: PHP's web server does not end them itself.
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def php(self, script: str, *arguments: str) -> Any:
        """What a script returns as JSON on its last line, run inside this WordPress (or before there is one)."""
        place = {**os.environ, "WORDPRESS_ROOT": str(self.root)}
        command = ["php", "-d", "display_errors=stderr", "-r", script.removeprefix("<?php"), "--", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=place, check=False, timeout=100)
        if done.returncode:
            log = self.log.read_text(encoding="utf-8") if self.log.exists() else ""
            raise RuntimeError(f"PHP failed: {done.stderr[-2000:]}{log[-2000:]}")
        return json.loads(done.stdout.strip().splitlines()[-1]) if done.stdout.strip() else None

    def inside(self, script: str, *arguments: str) -> Any:
        """The same, with WordPress and the plugin loaded."""
        return self.php(
            "$_SERVER['HTTP_HOST'] = '127.0.0.1'; $_SERVER['REQUEST_METHOD'] = 'GET';"
            "require getenv( 'WORDPRESS_ROOT' ) . '/wp-load.php';" + script,
            *arguments,
        )

    def option(self, name: str, value: Any) -> None:
        """Set an option, straight: as it is stored."""
        self.inside("update_option( $argv[1], json_decode( $argv[2], true ) );", name, json.dumps(value))

    def _start(self, command: list[str], environment: dict[str, str] | None = None) -> None:
        with (self.folder / f"{Path(command[0]).name}.log").open("ab") as log:
            self._running.append(
                subprocess.Popen(
                    command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, start_new_session=True
                )
            )

    def _until(self, there: Any, seconds: float = 60.0) -> None:
        ends = time.monotonic() + seconds
        while True:
            try:
                there()
            except OSError:
                if time.monotonic() > ends or self._running[-1].poll() is not None:
                    raise
                time.sleep(0.1)
            else:
                return

    def _start_database(self) -> None:
        user = ["--user=root"] if os.geteuid() == 0 else []
        data, at = self.folder / "mysql", self.folder / "mysql.sock"
        install = ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--skip-test-db", *user]
        subprocess.run(install, check=True, capture_output=True, timeout=100)
        # Nobody can get at the socket but who owns its folder: so no passwords.
        options = [
            f"--datadir={data}", f"--socket={at}", f"--pid-file={self.folder / 'mysql.pid'}", "--skip-networking",
            "--skip-grant-tables", "--skip-log-bin", "--innodb-buffer-pool-size=32M",
            "--innodb-flush-log-at-trx-commit=0", *user,
        ]  # fmt: skip
        self._start(["mariadbd", "--no-defaults", *options])

        def there() -> None:
            with socket.socket(socket.AF_UNIX) as asked:
                asked.connect(str(at))

        self._until(there)

    def _lay_out(self) -> None:
        shutil.copytree(WORDPRESS, self.root, ignore_dangling_symlinks=True, ignore=shutil.ignore_patterns(".htaccess"))
        content = self.root / "wp-content"
        for folder in ("mu-plugins", "themes/plain", "plugins", "uploads"):
            (content / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(PHP_FILES / "shop.php", content / "mu-plugins")
        shutil.copy(PHP_FILES / "theme.php", content / "themes" / "plain" / "index.php")
        (content / "themes" / "plain" / "style.css").write_text("/*\nTheme Name: Plain\n*/\n", encoding="utf-8")
        shutil.copytree(PLUGIN, content / "plugins" / "academy-bridge")
        config = _CONFIG.format(socket=self.folder / "mysql.sock", home=self.home, log=self.log)
        (self.root / "wp-config.php").write_text(config, encoding="utf-8")
