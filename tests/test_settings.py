"""The settings: read once, checked as a whole, never telling a secret."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pydantic import ValidationError
from pydantic_core import PydanticUndefined

from bridge.cli import COMMANDS, main
from bridge.domain.catalogue import FIELDS
from bridge.errors import ConfigError
from bridge.settings import Settings, all_settings, env_name, load
from tests.world import logging_kept

OFFERS = Path(__file__).parent.parent / "config" / "offers.example.toml"
EXAMPLE = Path(__file__).parent.parent / "config" / "bridge.example.toml"
#: The least that is needed. Each secret is a word that must never be seen again.
NEEDED = {
    "BRIDGE_SHOP_URL": "https://shop.example.org",
    "BRIDGE_SHOP_CONSUMER_KEY": "ck_SECRETKEY",
    "BRIDGE_SHOP_CONSUMER_SECRET": "cs_SECRETWORD",
    "BRIDGE_TOTARA_URL": "https://learn.example.org",
    "BRIDGE_TOTARA_CLIENT_ID": "client-1",
    "BRIDGE_TOTARA_CLIENT_SECRET": "SECRETOFTHECLIENT",
    "BRIDGE_TOTARA_WS_TOKEN": "SECRETTOKEN",
    "BRIDGE_SHOP_WEBHOOK_SECRETS": "SECRET-of-the-hooks-1,SECRET-of-the-hooks-2",
    "BRIDGE_STRIPE_SECRET_KEY": "sk_test_SECRETOFSTRIPE",
    "BRIDGE_DATABASE_URL": "postgresql://bridge:SECRETPASSWORD@db/bridge",
}
#: With letters.
MAIL = {
    "BRIDGE_MAIL_HOST": "smtp.example.org",
    "BRIDGE_MAIL_FROM_ADDRESS": "learning@example.org",
    "BRIDGE_MAIL_USERNAME": "bridge",
    "BRIDGE_MAIL_PASSWORD": "SECRETMAIL",
}
#: With signing in.
SSO = {"BRIDGE_SSO_CLIENT_ID": "totara", "BRIDGE_SSO_CLIENT_SECRET": "SECRETOFSIGNINGIN0123456789abcdef"}
SECRET_WORDS = re.compile(r"SECRET(?!S)")


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with no settings in it."""
    folder = tmp_path / "nowhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def problems_of(environ: Mapping[str, str], path: Path | None = None) -> list[str]:
    """The problems, one a line."""
    with pytest.raises(ConfigError) as caught:
        load(path, environ)
    lines = str(caught.value).splitlines()
    assert lines[0] == "The settings have problems:"
    assert all(line.startswith("  - ") for line in lines[1:])
    return [line.removeprefix("  - ") for line in lines[1:]]


def written(folder: Path, text: str) -> Path:
    path = folder / "bridge.toml"
    path.write_text(text, encoding="utf-8")
    return path


# --- what it takes -----------------------------------------------------------------------------------------------


def test_the_needed_ones_are_enough() -> None:
    settings = load(environ=NEEDED)
    assert settings.shop.url == "https://shop.example.org"
    assert settings.shop.consumer_secret.get_secret_value() == "cs_SECRETWORD"
    assert settings.database.url.get_secret_value() == "postgresql+psycopg://bridge:SECRETPASSWORD@db/bridge"
    assert settings.orders.paid_statuses == ["processing", "completed"]
    assert settings.catalogue.allow == []


def test_without_anything_everything_that_is_missing_is_named_at_once() -> None:
    assert problems_of({}) == ["shop: missing; [shop] is needed", "totara: missing; [totara] is needed"]


def test_each_missing_value_says_how_to_give_it() -> None:
    problems = problems_of({"BRIDGE_SHOP_LANGUAGE": "fr", "BRIDGE_TOTARA_TENANT": "academy"})
    assert "shop.url: missing; set it in the file or as BRIDGE_SHOP_URL" in problems
    assert "shop.consumer_key: missing; set it in the file or as BRIDGE_SHOP_CONSUMER_KEY" in problems
    assert "shop.consumer_secret: missing; set it in the file or as BRIDGE_SHOP_CONSUMER_SECRET" in problems
    assert "totara.url: missing; set it in the file or as BRIDGE_TOTARA_URL" in problems


def test_all_problems_are_told_together(nowhere: Path) -> None:
    path = written(
        nowhere,
        """
        [shop]
        url = "ftp://shop"
        colour = "blue"
        [orders]
        paid_statuses = ["cancelled"]
        [catalogue]
        shop_owns = ["nonsense"]
        max_change = 3
        prices = [{shortname = "*", price = "ten"}]
        [[catalogue.deny]]
        subtree = true
        [weather]
        rain = true
        """,
    )
    environ = NEEDED | {
        "BRIDGE_SERVER_BIND": "nowhere",
        "BRIDGE_NO_SUCH_THING": "1",
        "BRIDGE_LOG_LEVEL": "loud",
        "BRIDGE_SHOP_URL": "ftp://shop",
        "BRIDGE_WORK_THREADS": "0",
    }
    problems = problems_of(environ, path)
    named = {problem.split(":")[0].split(" ")[0] for problem in problems}
    assert named == {
        "BRIDGE_NO_SUCH_THING", "shop.url", "shop.colour", "orders.paid_statuses", "catalogue.shop_owns",
        "catalogue.max_change", "catalogue.prices", "catalogue.deny.0", "weather", "server.bind", "log.level",
        "work.threads",
    }  # fmt: skip
    assert len(problems) == len(named)


def test_problems_of_the_example_rules_are_told_by_their_place(nowhere: Path) -> None:
    path = written(nowhere, '[[catalogue.allow]]\ncategory = "x"\n[[catalogue.allow]]\nkategory = "y"\n')
    assert any(
        problem.startswith("catalogue.allow.1.kategory: no such setting") for problem in problems_of(NEEDED, path)
    )


# --- the environment ---------------------------------------------------------------------------------------------


def test_the_environment_wins_over_the_file_field_by_field(nowhere: Path) -> None:
    path = written(nowhere, '[shop]\nurl = "https://file.example"\nlanguage = "fr"\n[server]\nthreads = 3\n')
    settings = load(path, NEEDED)
    assert (settings.shop.url, settings.shop.language) == ("https://shop.example.org", "fr")
    assert settings.server.threads == 3
    assert load(path, NEEDED | {"BRIDGE_SERVER_THREADS": "5"}).server.threads == 5


@pytest.mark.parametrize(("section", "name", "_secret"), all_settings(), ids=lambda value: str(value))
def test_every_setting_can_be_given_by_its_environment_name(section: str, name: str, _secret: bool) -> None:
    assert env_name(section, name) == f"BRIDGE_{section}_{name}".upper()
    good = {
        "shop.url": "https://other.example", "totara.url": "https://other.example", "totara.tenant": "other",
        "totara.username_prefix": "x-", "database.url": "sqlite:////var/x.sqlite3", "server.bind": "0.0.0.0:80",
        "server.public_url": "https://bridge.example", "orders.paid_statuses": "completed", "catalogue.images": "false",
        "orders.notes": "false", "orders.unconfirmed_cash": "waits", "catalogue.shop_owns": "name",
        "catalogue.visibility": "audience", "catalogue.categories": "none", "catalogue.max_change": "0.5",
        "orders.grace_days": "3", "mail.soon_days": "3", "orders.brake_share": "0.5", "orders.gift_meta": "to",
        "orders.offers_file": str(OFFERS),
        "log.level": "debug", "log.format": "text", "shop.webhook_secrets": "0123456789abcdef",
        "catalogue.allow": '[{"shortname": "A*"}]', "catalogue.deny": '[{"category": 7}]',
        "catalogue.prices": '[{"shortname": "*", "price": "1.00"}]', "shop.language": "fr",
        "shop.consumer_key": "ck_x", "shop.consumer_secret": "cs_x", "totara.client_id": "other",
        "totara.client_secret": "other", "totara.ws_token": "other", "mail.host": "mail.example",
        "totara.canary_address": "x@example.org",
        "mail.security": "tls", "mail.from_address": "x@example.org", "mail.reply_to": "x@example.org",
        "mail.language": "fr", "mail.timezone": "Europe/Brussels",
        "stripe.secret_key": "rk_live_0123456789", "stripe.webhook_secrets": "whsec_0123456789abcdef",
        "stripe.url": "https://other.example", "sso.shop_secrets": "0123456789abcdefghijklmnopqrstuvwxyz",
        "sso.shop_address": "https://other.example", "sso.shop_sign_in": "https://other.example/in?x=1",
        "sso.way": "oauth2", "sso.client_id": "other", "sso.client_secret": "0123456789abcdefghijklmnopqrstuvwxyz",
    }.get(f"{section}.{name}", "7")  # fmt: skip
    given = NEEDED | MAIL | SSO
    before, after = load(environ=given), load(environ=given | {env_name(section, name): good})
    assert getattr(getattr(before, section), name) != getattr(getattr(after, section), name)


def test_lists_of_words_are_given_with_commas() -> None:
    settings = load(environ=NEEDED | {"BRIDGE_ORDERS_PAID_STATUSES": " completed , on-hold ,,"})
    assert settings.orders.paid_statuses == ["completed", "on-hold"]
    assert [s.get_secret_value() for s in settings.shop.webhook_secrets] == [
        "SECRET-of-the-hooks-1",
        "SECRET-of-the-hooks-2",
    ]


def test_rules_are_given_as_json() -> None:
    allow = [{"category": "Customs basics", "subtree": False}, {"shortname": "HS*", "visible": True}]
    settings = load(environ=NEEDED | {"BRIDGE_CATALOGUE_ALLOW": json.dumps(allow)})
    assert [str(rule) for rule in settings.catalogue.allow] == [
        "category Customs basics only",
        "shortname HS*, visible True",
    ]


def test_a_list_that_is_no_json_is_named() -> None:
    (problem,) = problems_of(NEEDED | {"BRIDGE_CATALOGUE_ALLOW": "Customs basics"})
    assert problem.startswith("BRIDGE_CATALOGUE_ALLOW")


def test_a_list_that_is_no_json_hides_no_other_problem() -> None:
    problems = problems_of({"BRIDGE_CATALOGUE_ALLOW": "nonsense", "BRIDGE_SHOP_LANGUAGE": "fr"})
    assert any(problem.startswith("BRIDGE_CATALOGUE_ALLOW") for problem in problems)
    assert any(problem.startswith("shop.url") for problem in problems)


@pytest.mark.parametrize(
    "name", ["BRIDGE_SHOP_ULR", "BRIDGE_SHOP", "BRIDGE_", "BRIDGE_DEBUG", "BRIDGE_SHOP_URL_FILE", "BRIDGE_CONFIG_FILE"]
)
def test_an_unknown_variable_is_a_problem_and_not_a_silent_nothing(name: str) -> None:
    assert f"{name} (environment): no such setting" in problems_of(NEEDED | {name: "{}"})


def test_variables_of_others_are_nobody_s_business() -> None:
    others = {"PATH": "/bin", "BRIDGEHEAD": "1", "MY_BRIDGE_SHOP_ULR": "x", "HOME": "/home/mia"}
    assert load(environ=NEEDED | others) == load(environ=NEEDED)


# --- secrets -----------------------------------------------------------------------------------------------------


def test_a_secret_may_be_read_from_a_file(nowhere: Path) -> None:
    environ = dict(NEEDED)
    for name in ("BRIDGE_SHOP_CONSUMER_SECRET", "BRIDGE_SHOP_WEBHOOK_SECRETS", "BRIDGE_DATABASE_URL"):
        file = nowhere / name
        file.write_text(environ.pop(name) + "\n", encoding="utf-8")
        environ[f"{name}_FILE"] = str(file)
    assert load(environ=environ) == load(environ=NEEDED)


def test_every_secret_may_be_read_from_a_file_and_nothing_else(nowhere: Path) -> None:
    file = nowhere / "value"
    file.write_text("0123456789abcdefghij", encoding="utf-8")
    for section, name, secret in all_settings():
        variable = f"{env_name(section, name)}_FILE"
        environ = {k: v for k, v in NEEDED.items() if k != env_name(section, name)} | {variable: str(file)}
        try:
            load(environ=environ)
        except ConfigError as err:
            assert (f"{variable} (environment): no such setting" in str(err)) is not secret, variable


def test_a_secret_given_twice_is_a_problem(nowhere: Path) -> None:
    (nowhere / "secret").write_text("cs_SECRETFILE", encoding="utf-8")
    problems = problems_of(NEEDED | {"BRIDGE_SHOP_CONSUMER_SECRET_FILE": str(nowhere / "secret")})
    assert problems == [
        "BRIDGE_SHOP_CONSUMER_SECRET and BRIDGE_SHOP_CONSUMER_SECRET_FILE (environment): give one of them"
    ]


def test_a_secret_file_that_can_not_be_read_is_a_problem(nowhere: Path) -> None:
    environ = {k: v for k, v in NEEDED.items() if k != "BRIDGE_SHOP_CONSUMER_SECRET"}
    for path in (nowhere / "missing", nowhere):
        problems = problems_of(environ | {"BRIDGE_SHOP_CONSUMER_SECRET_FILE": str(path)})
        assert any(
            p.startswith("BRIDGE_SHOP_CONSUMER_SECRET_FILE (environment): can't read the file") for p in problems
        )
    (nowhere / "binary").write_bytes(b"\xff\xfe\xff")
    problems = problems_of(environ | {"BRIDGE_SHOP_CONSUMER_SECRET_FILE": str(nowhere / "binary")})
    assert any("can't read the file" in problem for problem in problems)


@pytest.mark.parametrize(
    "secret",
    ["short", "0123456789abcde", "with&amp;entity-0123", "with space 0123456", "umläut-0123456789", "quote'0123456789"],
)
def test_a_webhook_secret_that_the_shop_would_alter_is_refused_without_being_told(secret: str) -> None:
    (problem,) = problems_of(NEEDED | {"BRIDGE_SHOP_WEBHOOK_SECRETS": f"0123456789abcdef,{secret}"})
    assert problem.startswith("shop.webhook_secrets: each must be 16 or more")
    assert secret not in problem
    assert "0123456789abcdef" not in problem


def test_no_secret_is_shown_by_the_settings() -> None:
    settings = load(environ=NEEDED | MAIL)
    assert settings.mail.password.get_secret_value() == "SECRETMAIL"
    shown = repr(settings) + str(settings) + repr(settings.shop) + str(settings.database) + repr(settings.model_dump())
    assert SECRET_WORDS.findall(shown.replace("SecretStr", "")) == []
    assert SECRET_WORDS.search(settings.model_dump_json()) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"BRIDGE_DATABASE_URL": "mysql://root:SECRETPASSWORD@db/x"},
        {"BRIDGE_SHOP_URL": "https://user:SECRETPASSWORD@shop.example.org"},
        {"BRIDGE_SHOP_WEBHOOK_SECRETS": "SECRET&"},
        {"BRIDGE_STRIPE_SECRET_KEY": "pk_test_SECRETKEY"},
        {"BRIDGE_STRIPE_SECRET_KEY": "SECRETKEY"},
        {"BRIDGE_STRIPE_WEBHOOK_SECRETS": "whsec_SECRET"},
        {"BRIDGE_TOTARA_CLIENT_ID": ""},
        {"BRIDGE_SERVER_THREADS": "many"},
        {"BRIDGE_SHOP_ULR": "SECRETPASSWORD"},
        {"BRIDGE_CATALOGUE_ALLOW": "SECRETPASSWORD"},
        {"BRIDGE_CATALOGUE_DENY": '[{"SECRETPASSWORD": 1}'},
        {"BRIDGE_MAIL_PASSWORD": "SECRETPÄSSWORD"},
        {"BRIDGE_SHOP": '{"consumer_secret": "SECRETPASSWORD"}'},
    ],
)
def test_no_secret_is_told_by_a_problem(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load(environ=NEEDED | wrong)
    assert SECRET_WORDS.search(str(caught.value).replace("CLIENT_SECRET", "").replace("client_secret", "")) is None


def test_no_secret_in_the_file_is_told_by_a_problem(nowhere: Path) -> None:
    for text in (
        '[shop]\nconsumer_secret = 5\nconsumer_key = ["SECRETWORD"]\nwebhook_secrets = ["SECRETWORD&"]\n',
        '[shop]\nconsumer_secret = "SECRETWORD\n',
        '[totara]\nclient_secret = {a = "SECRETWORD"}\n',
        'shop = "SECRETWORD"\n',
    ):
        assert not any("SECRETWORD" in problem for problem in problems_of({}, written(nowhere, text)))


# --- single values -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("BRIDGE_SHOP_URL", "shop.example.org", "must be a web address"),
        ("BRIDGE_SHOP_URL", "https://", "must be a web address"),
        ("BRIDGE_SHOP_URL", "https://shop.example.org/?a=b", "must be a web address"),
        ("BRIDGE_SHOP_URL", "https://shop.example.org/#x", "must be a web address"),
        ("BRIDGE_SHOP_URL", "javascript:alert(1)", "must be a web address"),
        ("BRIDGE_SHOP_URL", "https://a:b@shop.example.org", "must not hold a name or a password"),
        ("BRIDGE_TOTARA_TENANT", "Academy", "must be a tenant's idnumber"),
        ("BRIDGE_TOTARA_TENANT", "1academy", "must be a tenant's idnumber"),
        ("BRIDGE_TOTARA_USERNAME_PREFIX", "Academy-", "must be of small letters"),
        ("BRIDGE_TOTARA_USERNAME_PREFIX", "x" * 41, "must be of small letters"),
        ("BRIDGE_TOTARA_LEARNER_ROLE", "0", "greater than 0"),
        ("BRIDGE_TOTARA_TIMEOUT_SECONDS", "0", "greater than 0"),
        ("BRIDGE_TOTARA_TIMEOUT_SECONDS", "soon", "valid number"),
        ("BRIDGE_DATABASE_URL", "mysql://db/x", "must begin with sqlite:/// or postgresql://"),
        ("BRIDGE_DATABASE_URL", "sqlite:///", "must name a file"),
        ("BRIDGE_DATABASE_URL", "sqlite:///:memory:", "must name a file"),
        ("BRIDGE_ORDERS_PAID_STATUSES", "processing,refunded", "refunded can't count as paid"),
        ("BRIDGE_ORDERS_PAID_STATUSES", " , ", "must name at least one status"),
        ("BRIDGE_ORDERS_UNCONFIRMED_CASH", "maybe", "'pays' or 'waits'"),
        ("BRIDGE_CATALOGUE_SHOP_OWNS", "name,colour", "colour: the fields are"),
        ("BRIDGE_CATALOGUE_MAX_CHANGE", "1.5", "less than or equal to 1"),
        ("BRIDGE_CATALOGUE_PRICES", '[{"shortname":"*","price":"1,50"}]', "is not a price such as 120.00"),
        ("BRIDGE_CATALOGUE_PRICES", '[{"shortname":"*","price":"-1"}]', "is not a price such as 120.00"),
        ("BRIDGE_CATALOGUE_PRICES", '[{"shortname":"*","price":"NaN"}]', "is not a price such as 120.00"),
        ("BRIDGE_CATALOGUE_PRICES", '[{"shortname":"*","price":"1e3"}]', "is not a price such as 120.00"),
        ("BRIDGE_CATALOGUE_PRICES", '[{"shortname":"*","price":"١٢"}]', "is not a price such as 120.00"),
        ("BRIDGE_CATALOGUE_PRICES", '[{"price":"1.00"}]', "a rule needs a condition"),
        ("BRIDGE_CATALOGUE_DENY", "[{}]", "a rule needs a condition"),
        ("BRIDGE_CATALOGUE_DENY", '[{"subtree": false}]', "a rule needs a condition"),
        ("BRIDGE_WORK_THREADS", "65", "less than or equal to 64"),
        ("BRIDGE_WORK_LEASE_SECONDS", "-1", "greater than 0"),
        ("BRIDGE_SERVER_BIND", "8080", "must be HOST:PORT"),
        ("BRIDGE_SERVER_BIND", ":8080", "must be HOST:PORT"),
        ("BRIDGE_SERVER_BIND", "127.0.0.1:99999", "must be HOST:PORT"),
        ("BRIDGE_SERVER_PUBLIC_URL", "bridge.example", "must be a web address"),
        ("BRIDGE_STRIPE_SECRET_KEY", "pk_live_0123456789", "is the publishable key"),
        ("BRIDGE_STRIPE_SECRET_KEY", "sk_0123456789", "must begin with sk_test_, sk_live_, rk_test_ or rk_live_"),
        ("BRIDGE_STRIPE_SECRET_KEY", "sk_live_0123 56789", "must begin with sk_test_"),
        ("BRIDGE_STRIPE_WEBHOOK_SECRETS", "0123456789abcdef0123", "it begins with whsec_"),
        ("BRIDGE_STRIPE_WEBHOOK_SECRETS", "whsec_0123456789abcdef,short", "it begins with whsec_"),
        ("BRIDGE_STRIPE_TOLERANCE_SECONDS", "0", "greater than 0"),
        ("BRIDGE_STRIPE_URL", "api.stripe.com", "must be a web address"),
        ("BRIDGE_LOG_LEVEL", "trace", "'debug', 'info', 'warning' or 'error'"),
        ("BRIDGE_MAIL_HOST", "smtps://smtp.example.org", "must be a name such as smtp.example.org"),
        ("BRIDGE_MAIL_HOST", "smtp..example.org", "must be a name such as smtp.example.org"),
        ("BRIDGE_MAIL_PORT", "0", "greater than or equal to 1"),
        ("BRIDGE_MAIL_SECURITY", "ssl", "'starttls', 'tls' or 'none'"),
        ("BRIDGE_MAIL_FROM_ADDRESS", "Academy <x@example.org>", "must be an address such as"),
        ("BRIDGE_MAIL_REPLY_TO", "x@example.org\r\nBcc: y@example.org", "must be an address such as"),
        ("BRIDGE_MAIL_FROM_NAME", "Academy\r\nBcc: y@example.org", "must be one line"),
        ("BRIDGE_MAIL_PASSWORD", "pässword", "must be of ASCII signs"),
        ("BRIDGE_MAIL_LANGUAGE", "../fr", "must be a code such as en or pt_br"),
        ("BRIDGE_MAIL_LANGUAGE", "French", "must be a code such as en or pt_br"),
        ("BRIDGE_MAIL_TIMEZONE", "Brussels", "must be a timezone such as"),
        ("BRIDGE_MAIL_TIMEZONE", "Europe", "must be a timezone such as"),
        ("BRIDGE_MAIL_TIMEZONE", "../../etc/passwd", "must be a timezone such as"),
        ("BRIDGE_MAIL_TIMEZONE", "", "must be a timezone such as"),
    ],
)
def test_a_wrong_value_is_named_with_what_would_be_right(name: str, value: str, says: str) -> None:
    (problem,) = problems_of(NEEDED | {name: value})
    section, _, setting = name.removeprefix("BRIDGE_").lower().partition("_")
    assert problem.startswith(f"{section}.{setting}")
    assert says in problem


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"BRIDGE_TOTARA_CLIENT_SECRET": ""}, "client_id and client_secret go together"),
        ({"BRIDGE_TOTARA_CLIENT_ID": ""}, "client_id and client_secret go together"),
        (
            {"BRIDGE_TOTARA_CLIENT_ID": "", "BRIDGE_TOTARA_CLIENT_SECRET": "", "BRIDGE_TOTARA_WS_TOKEN": ""},
            "client_id with client_secret, or ws_token, or all three are needed",
        ),
        (
            {"BRIDGE_TOTARA_CLIENT_ID": "", "BRIDGE_TOTARA_CLIENT_SECRET": "", "BRIDGE_TOTARA_TENANT": "academy"},
            "tenant needs client_id and client_secret",
        ),
    ],
)
def test_totara_needs_a_way_in_that_can_do_what_is_wanted(given: dict[str, str], says: str) -> None:
    (problem,) = problems_of(NEEDED | given)
    assert problem.startswith("totara: ")
    assert says in problem


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"BRIDGE_STRIPE_SECRET_KEY": "", "BRIDGE_STRIPE_WEBHOOK_SECRETS": "whsec_0123456789abcdef"},
            "webhook_secrets need secret_key",
        ),
        ({"BRIDGE_STRIPE_URL": "http://stripe.example"}, "url must be https"),
        (
            {"BRIDGE_STRIPE_URL": "http://127.0.0.1:1", "BRIDGE_STRIPE_SECRET_KEY": "sk_live_0123456789"},
            "url must be https",
        ),
    ],
)
def test_what_does_not_go_together_for_stripe_is_told(given: dict[str, str], says: str) -> None:
    (problem,) = problems_of(NEEDED | given)
    assert problem.startswith("stripe: ")
    assert says in problem


def test_stripe_is_off_without_a_key_and_its_key_tells_the_mode() -> None:
    assert not load(environ=NEEDED | {"BRIDGE_STRIPE_SECRET_KEY": ""}).stripe.secret_key
    for key, live in (("sk_live_", True), ("rk_live_", True), ("sk_test_", False), ("rk_test_", False)):
        stripe = load(environ=NEEDED | {"BRIDGE_STRIPE_SECRET_KEY": f"{key}_live_0123456789"}).stripe
        assert stripe.live is live
    local = {"BRIDGE_STRIPE_URL": "http://127.0.0.1:8083"}
    assert load(environ=NEEDED | local).stripe.url == "http://127.0.0.1:8083"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"BRIDGE_MAIL_FROM_ADDRESS": ""}, "host needs from_address"),
        ({"BRIDGE_MAIL_PASSWORD": ""}, "username and password go together"),
        ({"BRIDGE_MAIL_USERNAME": ""}, "username and password go together"),
        ({"BRIDGE_MAIL_SECURITY": "none"}, "would send the password to everybody on the way"),
    ],
)
def test_a_mail_server_comes_with_what_it_needs(given: dict[str, str], says: str) -> None:
    (problem,) = problems_of(NEEDED | MAIL | given)
    assert problem.startswith("mail: ")
    assert says in problem
    load(environ=NEEDED | MAIL | given | {"BRIDGE_MAIL_HOST": ""})


def test_a_mail_server_on_this_machine_may_be_spoken_to_in_the_clear() -> None:
    settings = load(environ=NEEDED | MAIL | {"BRIDGE_MAIL_HOST": "localhost", "BRIDGE_MAIL_SECURITY": "none"})
    assert settings.mail.password.get_secret_value() == "SECRETMAIL"


def test_several_web_processes_need_postgresql() -> None:
    several = NEEDED | {"BRIDGE_SERVER_PROCESSES": "2"}
    assert load(environ=several).server.processes == 2
    (problem,) = problems_of(several | {"BRIDGE_DATABASE_URL": "sqlite:///bridge.sqlite3"})
    assert "server.processes above 1 needs PostgreSQL" in problem


def test_addresses_lose_their_last_slash() -> None:
    assert load(environ=NEEDED | {"BRIDGE_SHOP_URL": "https://x.example/shop/"}).shop.url == "https://x.example/shop"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgresql_goes_by_three_names(scheme: str) -> None:
    settings = load(environ=NEEDED | {"BRIDGE_DATABASE_URL": f"{scheme}://db/x"})
    assert settings.database.url.get_secret_value() == "postgresql+psycopg://db/x"


def test_the_settings_can_not_be_changed() -> None:
    settings = load(environ=NEEDED)
    with pytest.raises(ValidationError, match="frozen"):
        settings.shop.url = "https://evil.example"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        settings.shop = settings.shop  # type: ignore[misc]


# --- the file ----------------------------------------------------------------------------------------------------


def test_the_file_is_the_one_that_is_named_else_the_usual_one(nowhere: Path) -> None:
    named = written(nowhere, '[shop]\nlanguage = "de"\n')
    assert load(environ=NEEDED).shop.language == "en"
    assert load(environ=NEEDED | {"BRIDGE_CONFIG": str(named)}).shop.language == "de"
    assert load(named, NEEDED).shop.language == "de"
    (nowhere / "config").mkdir()
    (nowhere / "config" / "bridge.toml").write_text('[shop]\nlanguage = "fr"\n', encoding="utf-8")
    assert load(environ=NEEDED).shop.language == "fr"
    assert load(environ=NEEDED | {"BRIDGE_CONFIG": str(named)}).shop.language == "de"


def test_a_file_that_is_named_and_not_there_is_a_problem(nowhere: Path) -> None:
    (problem,) = problems_of(NEEDED | {"BRIDGE_CONFIG": str(nowhere / "nothing.toml")})
    assert problem.startswith(str(nowhere / "nothing.toml"))


def test_a_file_that_is_no_toml_is_a_problem_with_its_line(nowhere: Path) -> None:
    (problem,) = problems_of(NEEDED, written(nowhere, "[shop]\nurl = \n"))
    assert "line 2" in problem


def test_an_address_of_the_database_that_is_a_number_is_a_problem(nowhere: Path) -> None:
    environ = {name: value for name, value in NEEDED.items() if name != "BRIDGE_DATABASE_URL"}
    (problem,) = problems_of(environ, written(nowhere, "[database]\nurl = 5\n"))
    assert problem.startswith("database.url")


def test_the_environment_of_the_process_is_read_when_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)
    assert load().shop.url == "https://shop.example.org"


# --- the example file ---------------------------------------------------------------------------------------------


def example_lines() -> list[str]:
    return EXAMPLE.read_text(encoding="utf-8").splitlines()


def in_example(section: str, name: str) -> tuple[int, str] | None:
    """The line number and the text of a setting's value, set or commented out."""
    current = ""
    for number, line in enumerate(example_lines()):
        bare = line.removeprefix("# ")
        if found := re.fullmatch(r"\[([a-z]+)\]", line):
            current = found[1]
        elif current == section and (found := re.fullmatch(rf"{name} = (.*)", bare)):
            return number, found[1]
    return None


@pytest.mark.parametrize(("section", "name", "secret"), all_settings(), ids=lambda value: str(value))
def test_every_setting_is_explained_in_the_example_file_with_its_default(section: str, name: str, secret: bool) -> None:
    found = in_example(section, name)
    assert found is not None, f"[{section}] {name} is not in the example file"
    number, value = found
    before = example_lines()[number - 1]
    assert before.startswith("# "), f"no comment above [{section}] {name}"
    assert not re.match(r"# [a-z_]+ = ", before), f"no comment of its own above [{section}] {name}"
    part: Any = Settings.model_fields[section].annotation
    field = part.model_fields[name]
    default = field.get_default(call_default_factory=True)
    if default is PydanticUndefined:
        return
    plain = default.get_secret_value() if hasattr(default, "get_secret_value") else default
    assert tomllib.loads(f"value = {value}")["value"] == plain


def test_the_example_file_names_nothing_that_is_no_setting() -> None:
    known = {(section, name) for section, name, _ in all_settings()}
    current = ""
    for line in example_lines():
        if found := re.fullmatch(r"\[([a-z]+)\]", line):
            current = found[1]
        elif line.startswith(("[", "# [")):
            current = ""
        elif current and (found := re.fullmatch(r"(?:# )?([a-z_]+) = .*", line)):
            assert (current, found[1]) in known, line


def test_the_example_file_loads_as_it_is_when_the_needed_values_are_in_the_environment() -> None:
    needed = {k: v for k, v in NEEDED.items() if "URL" not in k and "WEBHOOK" not in k}
    settings = load(EXAMPLE, needed)
    defaults = load(environ=NEEDED)
    for part in ("orders", "work", "server", "mail", "log"):
        assert getattr(settings, part) == getattr(defaults, part)


def test_the_example_file_holds_no_secret_and_no_working_address() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    for name in (
        "consumer_key", "consumer_secret", "client_secret", "ws_token", "secret_key", "webhook_secrets", "password",
    ):  # fmt: skip
        assert not re.search(rf"^{name} *=", text, re.MULTILINE), f"{name} is set"
    for address in re.findall(r"https?://([^/\"\s:]+)", text):
        assert address.endswith(
            (".example", "example.org", "example.com", "127.0.0.1", "localhost", "api.stripe.com")
        ), address


def test_every_example_of_a_rule_in_the_file_is_a_good_rule() -> None:
    """Uncomment every table that is given as an example: the settings still load."""
    lines, inside = [], False
    for line in example_lines():
        if re.fullmatch(r"# \[\[catalogue\.(allow|deny|prices)\]\]", line):
            inside = True
        elif not re.match(r"# [a-z_]+ = ", line):
            inside = False
        lines.append(line.removeprefix("# ") if inside else line)
    values = tomllib.loads("\n".join(lines))
    needed = {k: v for k, v in NEEDED.items() if "URL" not in k and "WEBHOOK" not in k}
    environ = needed | {
        f"BRIDGE_CATALOGUE_{name.upper()}": json.dumps(values.get("catalogue", {}).get(name, []))
        for name in ("allow", "deny", "prices")
    }
    assert load(EXAMPLE, environ).catalogue.shop_owns == []
    assert set(FIELDS) >= set(values.get("catalogue", {}).get("shop_owns", []))


# --- the commands -------------------------------------------------------------------------------------------------

#: How each command is called, without a network and without a terminal.
CALLS: dict[str, list[list[str]]] = {
    "run": [["run"]],
    "serve": [["serve"]],
    "work": [["work"]],
    "migrate": [["migrate"]],
    "check": [["check"], ["check", "--json"]],
    "webhooks": [["webhooks", "install"], ["webhooks", "list"], ["webhooks", "remove"]],
    "catalogue": [["catalogue", "plan"], ["catalogue", "apply"], ["catalogue", "handback", "3"]],
    "resync": [["resync", "31"]],
    "status": [["status"], ["status", "--json"]],
    "explain": [["explain", "x@example.org"], ["explain", "31", "--json"]],
    "sso": [["sso", "keygen"], ["sso", "rotate"], ["sso", "list"]],
    "seats": [
        ["seats", "list", "31"],
        ["seats", "list", "team", "1"],
        ["seats", "decide", "order", "31", "--end", "1", "--yes"],
        ["seats", "assign", "1", "--email", "x@example.org"],
        ["seats", "revoke", "1", "--yes"],
        ["seats", "reassign", "1", "--email", "x@example.org", "--yes"],
        ["seats", "import", "1", "-", "--yes"],
    ],
    "teams": [["teams", "list"], ["teams", "show", "1", "--json"]],
    "people": [
        ["people", "conflicts"],
        ["people", "show", "1"],
        ["people", "separate", "1"],
        ["people", "link", "1", "--totara", "4"],
        ["people", "link", "1", "--person", "2"],
    ],
    "brake": [["brake", "status"], ["brake", "release"]],
    "reconcile": [["reconcile"]],
    "audit": [["audit", "verify"], ["audit", "show"]],
    "mail": [["mail", "preview", "ready"], ["mail", "test", "x@example.org"]],
    "parked": [["parked", "list"], ["parked", "show", "order", "1"], ["parked", "retry", "--all"]],
}


def run(arguments: list[str], environ: Mapping[str, str]) -> Result:
    """A command, in this process. What it does to the process's logging is undone."""
    with logging_kept():
        return CliRunner().invoke(main, arguments, env=dict(environ))


def test_every_command_that_needs_settings_is_tried_here() -> None:
    assert CALLS.keys() == COMMANDS.keys() - {"sandbox"}


@pytest.mark.parametrize("arguments", [call for calls in CALLS.values() for call in calls], ids=" ".join)
def test_with_wrong_settings_a_command_exits_2_with_one_message_and_starts_nothing(
    nowhere: Path, arguments: list[str]
) -> None:
    environ = NEEDED | {
        "BRIDGE_DATABASE_URL": "sqlite:///bridge.sqlite3",
        "BRIDGE_SHOP_URL": "nonsense",
        "BRIDGE_SHOP_ULR": "https://shop.example.org",
    }
    result = run(arguments, environ)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("The settings have problems:\n")
    assert result.stderr.count("The settings have problems") == 1
    assert "BRIDGE_SHOP_ULR (environment): no such setting" in result.stderr
    assert "shop.url: must be a web address" in result.stderr
    assert SECRET_WORDS.search(result.stderr.replace("client_secret", "")) is None
    assert list(nowhere.iterdir()) == [], "no database was made"


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], *([name, "--help"] for name in COMMANDS)], ids=" ".join)
def test_help_needs_no_settings(arguments: list[str]) -> None:
    result = run(arguments, {"BRIDGE_NONSENSE": "1"})
    assert result.exit_code == 0
    assert "Usage:" in result.stdout


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["run", "--nonsense"], ["parked", "nonsense"], ["resync", "--since", "yesterday"]]
)
def test_a_wrong_command_line_exits_2(arguments: list[str]) -> None:
    assert run(arguments, NEEDED).exit_code == 2


@pytest.mark.parametrize("arguments", [["status"], ["parked", "list"], ["resync", "31"], ["serve"], ["work"]])
def test_on_a_database_without_tables_a_command_says_so_and_exits_1(nowhere: Path, arguments: list[str]) -> None:
    result = run(arguments, NEEDED | {"BRIDGE_DATABASE_URL": f"sqlite:///{nowhere}/new.sqlite3"})
    assert result.exit_code == 1
    assert "run `bridge migrate`" in result.stderr


@pytest.mark.parametrize("arguments", [["status"], ["parked", "list"], ["migrate"]])
def test_a_database_that_is_not_there_is_one_sentence_and_exit_1(arguments: list[str]) -> None:
    environ = NEEDED | {"BRIDGE_DATABASE_URL": "postgresql://bridge:SECRETWORD@/x?host=/nonexistent"}
    result = run(arguments, environ)
    assert result.exit_code == 1
    assert result.stderr.startswith("bridge: the database can't be reached")
    assert len(result.stderr.splitlines()) == 1
    assert "SECRETWORD" not in result.stderr


def test_migrating_twice_is_harmless(nowhere: Path) -> None:
    environ = NEEDED | {"BRIDGE_DATABASE_URL": f"sqlite:///{nowhere}/new.sqlite3"}
    for _ in range(2):
        result = run(["migrate"], environ)
        assert (result.exit_code, result.stderr) == (0, "")
    assert run(["parked", "list"], environ).exit_code == 0


def test_settings_made_by_hand_do_not_read_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match="Field required"):
        Settings()
