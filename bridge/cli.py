"""``bridge …``: every command has --help with an example, and --json where it prints data.

Exit codes: 0 done; 1 something is wrong, and said; 2 bad settings or a bad command line, and nothing was started.
"""

from __future__ import annotations

from importlib import import_module

import click

#: Where each command lives. Loaded when asked for, so that `bridge --help` is quick.
COMMANDS = {
    "run": "bridge.commands.run:run",
    "serve": "bridge.commands.run:serve",
    "work": "bridge.commands.run:work",
    "migrate": "bridge.commands.run:migrate",
    "check": "bridge.commands.check:check",
    "webhooks": "bridge.commands.shop:webhooks",
    "catalogue": "bridge.commands.shop:catalogue",
    "resync": "bridge.commands.orders:resync",
    "status": "bridge.commands.orders:status",
    "parked": "bridge.commands.orders:parked",
    "explain": "bridge.commands.explain:explain",
    "seats": "bridge.commands.seats:seats",
    "teams": "bridge.commands.teams:teams",
    "people": "bridge.commands.people:people",
    "brake": "bridge.commands.brake:brake",
    "reconcile": "bridge.commands.orders:reconcile",
    "audit": "bridge.commands.audit:audit",
    "sso": "bridge.commands.sso:sso",
    "mail": "bridge.commands.mail:mail",
    "sandbox": "bridge.commands.sandbox:sandbox",
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="totara-woocommerce-bridge", prog_name="bridge")
def main() -> None:
    """The bridge between Totara and WooCommerce.

    Settings come from config/bridge.toml (or the file that BRIDGE_CONFIG names) and from BRIDGE_… variables.
    Begin with `bridge sandbox` to see it work, `bridge check` to try your own settings.
    """
