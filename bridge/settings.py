"""Settings: one frozen object, from ``config/bridge.toml`` and the environment, checked as a whole.

Every setting has an environment variable ``BRIDGE_<SECTION>_<NAME>`` which wins over the file; a secret may instead
be read from the file that ``BRIDGE_<SECTION>_<NAME>_FILE`` names. ``config/bridge.example.toml`` explains each one.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from bridge.domain.catalogue import FIELDS, PriceRule, Rule
from bridge.domain.identity import is_email
from bridge.domain.letters import one_line
from bridge.domain.offers import NO_OFFERS, Offers, read_offers
from bridge.domain.seats import SeatRules
from bridge.errors import ConfigError

PREFIX = "BRIDGE_"
DEFAULT_FILE = Path("config/bridge.toml")
OFFERS_FILE = Path("config/offers.toml")
Seconds = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of the settings: frozen, and nothing unknown in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _comma_list(value: Any) -> Any:
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be a web address such as https://shop.example.org")
    if parts.username or parts.password:
        raise ValueError("must not hold a name or a password")
    return value.rstrip("/")


class Database(Section):
    """Where the bridge keeps what it owes and what it gave."""

    url: SecretStr = SecretStr("sqlite:///bridge.sqlite3")

    @field_validator("url", mode="before")
    @classmethod
    def _known(cls, value: str | SecretStr) -> str:
        value = value.get_secret_value() if isinstance(value, SecretStr) else value
        if not isinstance(value, str):
            raise ValueError("must be a text")
        if value.startswith(("postgres://", "postgresql://")):
            value = "postgresql+psycopg://" + value.split("://", 1)[1]
        if not value.startswith(("sqlite:///", "postgresql+psycopg://")):
            raise ValueError("must begin with sqlite:/// or postgresql://")
        if value == "sqlite:///" or ":memory:" in value:
            raise ValueError("must name a file: what is owed has to outlive the process")
        return value


class Shop(Section):
    """The WooCommerce shop."""

    url: str
    consumer_key: SecretStr
    consumer_secret: SecretStr
    webhook_secrets: Annotated[list[SecretStr], NoDecode] = Field(default_factory=list)
    language: str = "en"
    timeout_seconds: Seconds = 30.0

    _url = field_validator("url")(_web_address)
    _secrets = field_validator("webhook_secrets", mode="before")(_comma_list)

    @field_validator("webhook_secrets")
    @classmethod
    def _safe(cls, value: list[SecretStr]) -> list[SecretStr]:
        for secret in value:
            if not re.fullmatch(r"[A-Za-z0-9_-]{16,}", secret.get_secret_value()):
                # WooCommerce decodes HTML in the secret before it signs: an & would never verify.
                raise ValueError("each must be 16 or more of A-Z a-z 0-9 _ -, as WooCommerce alters other signs")
        return value


class Totara(Section):
    """The Totara site."""

    url: str
    client_id: str = ""
    client_secret: SecretStr = SecretStr("")
    ws_token: SecretStr = SecretStr("")
    tenant: str = ""
    learner_role: int = Field(default=5, gt=0)
    username_prefix: str = "academy-"
    canary_address: str = ""
    never_link: Annotated[list[str], NoDecode] = Field(default_factory=list)
    timeout_seconds: Seconds = 60.0

    _url = field_validator("url")(_web_address)

    _never = field_validator("never_link", mode="before")(_comma_list)

    @field_validator("canary_address")
    @classmethod
    def _canary(cls, value: str) -> str:
        if value and not is_email(value.lower()):
            raise ValueError("must be an address such as canary@example.org")
        return value

    @field_validator("tenant")
    @classmethod
    def _tenant(cls, value: str) -> str:
        if value and not re.fullmatch(r"[a-z][a-z0-9]*", value):
            raise ValueError("must be a tenant's idnumber: small letters and digits, a letter first")
        return value

    @field_validator("username_prefix")
    @classmethod
    def _prefix(cls, value: str) -> str:
        if not re.fullmatch(r"[a-z0-9._-]{0,40}", value):
            raise ValueError("must be of small letters, digits and . _ -, at most 40")
        return value

    @model_validator(mode="after")
    def _some_way_in(self) -> Totara:
        api = bool(self.client_id), bool(self.client_secret.get_secret_value())
        if any(api) and not all(api):
            raise ValueError("client_id and client_secret go together")
        if not any(api) and not self.ws_token.get_secret_value():
            raise ValueError("client_id with client_secret, or ws_token, or all three are needed")
        if self.tenant and not any(api):
            raise ValueError("tenant needs client_id and client_secret: only the GraphQL API makes a tenant's member")
        return self


class Stripe(Section):
    """The Stripe account that the shop is paid through. Without a key, no payment is looked at."""

    secret_key: SecretStr = SecretStr("")
    webhook_secrets: Annotated[list[SecretStr], NoDecode] = Field(default_factory=list)
    tolerance_seconds: Seconds = 300.0
    timeout_seconds: Seconds = 30.0
    sweep_seconds: Seconds = 300.0
    url: str = "https://api.stripe.com"

    _url = field_validator("url")(_web_address)
    _secrets = field_validator("webhook_secrets", mode="before")(_comma_list)

    @property
    def live(self) -> bool:
        """Whether the key is for live mode: it says so itself."""
        return self.secret_key.get_secret_value()[2:].startswith("_live_")

    @field_validator("secret_key")
    @classmethod
    def _secret(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value().startswith("pk_"):
            raise ValueError("is the publishable key; the secret or a restricted one (sk_…, rk_…) is needed")
        if value and not re.fullmatch(r"[sr]k_(test|live)_[A-Za-z0-9_]{8,}", value.get_secret_value()):
            raise ValueError("must begin with sk_test_, sk_live_, rk_test_ or rk_live_")
        return value

    @field_validator("webhook_secrets")
    @classmethod
    def _signing(cls, value: list[SecretStr]) -> list[SecretStr]:
        if not all(re.fullmatch(r"whsec_[A-Za-z0-9+/=_-]{16,}", secret.get_secret_value()) for secret in value):
            raise ValueError("each must be the signing secret of an endpoint: it begins with whsec_")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Stripe:
        if self.webhook_secrets and not self.secret_key.get_secret_value():
            raise ValueError("webhook_secrets need secret_key: what a delivery tells of is read from Stripe")
        here = urlsplit(self.url).hostname in ("127.0.0.1", "localhost", "::1")
        if self.url.startswith("http://") and (self.live or not here):
            raise ValueError("url must be https: the key is sent to it")
        return self


class Orders(Section):
    """What counts as paid, and how orders are looked for."""

    paid_statuses: Annotated[list[str], NoDecode] = Field(default_factory=lambda: ["processing", "completed"])
    unconfirmed_cash: Literal["pays", "waits"] = "pays"
    sweep_seconds: Seconds = 30.0
    sweep_overlap_seconds: Seconds = 300.0
    notes: bool = True
    waiting_note_seconds: Seconds = 900.0
    grace_days: float = Field(default=7.0, ge=0)
    gift_meta: str = "_bridge_gift_to"
    offers_file: str = ""
    brake_share: Share = 0.1
    brake_count: int = Field(default=20, ge=0)
    brake_seconds: Seconds = 3600.0
    reconcile_seconds: Seconds = 86_400.0

    _statuses = field_validator("paid_statuses", mode="before")(_comma_list)

    @field_validator("paid_statuses")
    @classmethod
    def _some(cls, value: list[str]) -> list[str]:
        never = {"pending", "failed", "cancelled", "refunded", "trash", "checkout-draft"} & set(value)
        if never:
            raise ValueError(f"{', '.join(sorted(never))} can't count as paid")
        if not value:
            raise ValueError("must name at least one status")
        return value


class Teams(Section):
    """What teams may do with the seats that they bought."""

    reclaim_days: float = Field(default=0.0, ge=0)
    most_times: int = Field(default=5, ge=0)
    invitation_days: float = Field(default=14.0, gt=0)
    po_meta: Annotated[list[str], NoDecode] = Field(
        default_factory=lambda: [
            "_po_number",
            "po_number",
            "_purchase_order_number",
            "purchase_order_number",
            "_billing_po_number",
            "_billing_po",
        ]
    )

    _po_keys = field_validator("po_meta", mode="before")(_comma_list)

    @property
    def rules(self) -> SeatRules:
        """As the rules use it."""
        return SeatRules(self.reclaim_days, self.most_times, self.invitation_days)


class Catalogue(Section):
    """Which courses are sold, and who owns which field of a product."""

    allow: list[Rule] = Field(default_factory=list)
    deny: list[Rule] = Field(default_factory=list)
    prices: list[PriceRule] = Field(default_factory=list)
    shop_owns: Annotated[list[str], NoDecode] = Field(default_factory=list)
    visibility: Literal["visible", "audience"] = "visible"
    categories: Literal["tree", "none"] = "tree"
    images: bool = True
    every_seconds: Seconds = 3600.0
    max_change: Share = 0.1
    max_change_count: int = Field(default=20, ge=0)

    _owned = field_validator("shop_owns", mode="before")(_comma_list)

    @field_validator("shop_owns")
    @classmethod
    def _fields(cls, value: list[str]) -> list[str]:
        if unknown := set(value) - set(FIELDS):
            raise ValueError(f"{', '.join(sorted(unknown))}: the fields are {', '.join(FIELDS)}")
        return value

    @field_validator("prices")
    @classmethod
    def _prices(cls, value: list[PriceRule]) -> list[PriceRule]:
        for rule in value:
            try:
                price = Decimal(rule.price)
            except InvalidOperation:
                raise ValueError(f"{rule.price!r} is not a price such as 120.00") from None
            if not price.is_finite() or price < 0 or not re.fullmatch(r"[0-9]+(\.[0-9]{1,4})?", rule.price):
                raise ValueError(f"{rule.price!r} is not a price such as 120.00")
        return value


class Work(Section):
    """The engine that owes work."""

    threads: int = Field(default=4, ge=1, le=64)
    lease_seconds: Seconds = 60.0
    poll_seconds: Seconds = 1.0
    backoff_seconds: Seconds = 2.0
    backoff_cap_seconds: Seconds = 300.0
    stop_seconds: Seconds = 30.0
    read_tries: int = Field(default=3, ge=1, le=10)
    breaker_failures: int = Field(default=5, ge=1)
    breaker_seconds: Seconds = 10.0
    watch_seconds: Seconds = 60.0


class Server(Section):
    """How the bridge is reached."""

    bind: str = "127.0.0.1:8080"
    public_url: str = "http://127.0.0.1:8080"
    threads: int = Field(default=16, ge=1, le=256)
    processes: int = Field(default=1, ge=1, le=64)
    trusted_proxies: int = Field(default=0, ge=0, le=8)

    _url = field_validator("public_url")(_web_address)

    @field_validator("bind")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError("must be HOST:PORT")
        return value


class Mail(Section):
    """Letters to learners, and the SMTP server that takes them. Without a host there are none."""

    host: str = ""
    port: int = Field(default=587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password: SecretStr = SecretStr("")
    from_address: str = ""
    from_name: str = ""
    reply_to: str = ""
    timeout_seconds: Seconds = 30.0
    language: str = "en"
    timezone: str = "UTC"
    soon_days: float = Field(default=7.0, ge=0)
    templates: str = ""

    @field_validator("host")
    @classmethod
    def _host(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9._:-]*", value) or ".." in value:
            raise ValueError("must be a name such as smtp.example.org; the port is a setting of its own")
        return value

    @field_validator("from_address", "reply_to")
    @classmethod
    def _address(cls, value: str) -> str:
        if value and not is_email(value):
            raise ValueError("must be an address such as learning@example.org")
        return value

    @field_validator("from_name")
    @classmethod
    def _name(cls, value: str) -> str:
        if value != one_line(value):
            raise ValueError("must be one line")
        return value

    @field_validator("password")
    @classmethod
    def _password(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().isascii():
            raise ValueError("must be of ASCII signs: others can't be sent in a login")
        return value

    @field_validator("language")
    @classmethod
    def _language(cls, value: str) -> str:
        if not re.fullmatch(r"[a-z]{2,3}(_[a-z]+)?", value):
            raise ValueError("must be a code such as en or pt_br")
        return value

    @field_validator("timezone")
    @classmethod
    def _timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ValueError, OSError, ZoneInfoNotFoundError):
            raise ValueError("must be a timezone such as Europe/Brussels") from None
        return value

    @model_validator(mode="after")
    def _complete(self) -> Mail:
        if not self.host:
            return self
        if not self.from_address:
            raise ValueError("host needs from_address: who letters are from")
        if bool(self.username) is not bool(self.password.get_secret_value()):
            raise ValueError("username and password go together")
        if self.username and self.security == "none" and self.host not in ("localhost", "127.0.0.1", "::1"):
            raise ValueError('security = "none" would send the password to everybody on the way')
        return self


class Sso(Section):
    """Signing in from the shop. Without a secret shared with the shop's plugin there is none."""

    shop_secrets: Annotated[list[SecretStr], NoDecode] = Field(default_factory=list)
    shop_address: str = ""
    shop_sign_in: str = ""
    way: Literal["plugin", "oauth2"] = "plugin"
    client_id: str = ""
    client_secret: SecretStr = SecretStr("")
    wait_seconds: float = Field(default=3.0, ge=0, le=20)
    idle_minutes: float = Field(default=60.0, gt=0)
    session_hours: float = Field(default=12.0, gt=0)

    _secrets = field_validator("shop_secrets", mode="before")(_comma_list)

    @field_validator("shop_address")
    @classmethod
    def _address(cls, value: str) -> str:
        return _web_address(value) if value else value

    @field_validator("shop_sign_in")
    @classmethod
    def _sign_in(cls, value: str) -> str:
        if value:
            _web_address(value.partition("?")[0])
        return value

    @field_validator("shop_secrets")
    @classmethod
    def _long(cls, value: list[SecretStr]) -> list[SecretStr]:
        if not all(re.fullmatch(r"[A-Za-z0-9_-]{32,}", secret.get_secret_value()) for secret in value):
            raise ValueError("each must be 32 or more of A-Z a-z 0-9 _ -: whoever guesses one signs in as anybody")
        return value

    @model_validator(mode="after")
    def _client(self) -> Sso:
        secret = self.client_secret.get_secret_value()
        if bool(self.client_id) is not bool(secret):
            raise ValueError("client_id and client_secret go together")
        if secret and len(secret) < 32:
            raise ValueError("client_secret must be 32 or more signs")
        if self.way == "oauth2" and not secret:
            raise ValueError('way = "oauth2" needs client_id and client_secret')
        return self


class Log(Section):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "text"] = "json"


class _Environment(EnvSettingsSource):
    """The environment, with ``…_FILE`` for secrets; a name we don't know is a problem, not a silent nothing."""

    def __init__(self, settings: type[BaseSettings], environ: Mapping[str, str]) -> None:
        self.problems: list[str] = []
        self._given = dict(environ)
        known = {env_name(section, field): is_secret for section, field, is_secret in all_settings()}
        for name in sorted(n for n in self._given if n.startswith(PREFIX) and n not in _NOT_SETTINGS):
            if name in known:
                continue
            base = name.removesuffix("_FILE")
            if name == base or not known.get(base):
                self.problems.append(f"{name} (environment): no such setting")
                continue
            path = Path(self._given.pop(name))
            try:
                text = path.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as err:
                self.problems.append(f"{name} (environment): can't read the file: {type(err).__name__}")
                continue
            if base in self._given:
                self.problems.append(f"{base} and {name} (environment): give one of them")
            self._given[base] = text
        for name in _JSON_LISTS & self._given.keys():
            try:
                json.loads(self._given[name])
            except ValueError:
                self.problems.append(f"{name} (environment): must be a JSON list")
                del self._given[name]
        super().__init__(settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._given.items()}


class Settings(BaseSettings):
    """All settings. Make one with :func:`load`."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=PREFIX, env_nested_delimiter="_", env_nested_max_split=1
    )

    shop: Shop
    totara: Totara
    stripe: Stripe = Stripe()
    database: Database = Database()
    orders: Orders = Orders()
    teams: Teams = Teams()
    catalogue: Catalogue = Catalogue()
    work: Work = Work()
    server: Server = Server()
    mail: Mail = Mail()
    sso: Sso = Sso()
    log: Log = Log()

    @classmethod
    def settings_customise_sources(  # type: ignore[override]
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, **others: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what :func:`load` gives."""
        return (init_settings,)

    @model_validator(mode="after")
    def _sqlite_has_one_web_process(self) -> Settings:
        if self.server.processes > 1 and self.database.url.get_secret_value().startswith("sqlite"):
            raise ValueError("server.processes above 1 needs PostgreSQL; with SQLite raise server.threads instead")
        return self


_JSON_LISTS = {"BRIDGE_CATALOGUE_ALLOW", "BRIDGE_CATALOGUE_DENY", "BRIDGE_CATALOGUE_PRICES"}
_NOT_SETTINGS = {"BRIDGE_CONFIG"}  # names the file itself


def env_name(section: str, field: str) -> str:
    """The environment variable of one setting."""
    return f"{PREFIX}{section}_{field}".upper()


def all_settings() -> list[tuple[str, str, bool]]:
    """Every setting as (section, name, whether it is a secret)."""
    return [
        (section, name, "SecretStr" in str(field.annotation))
        for section, part in Settings.model_fields.items()
        for name, field in part.annotation.model_fields.items()  # type: ignore[union-attr]
    ]


def load(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    ``path`` is the TOML file (default: ``$BRIDGE_CONFIG``, else ``config/bridge.toml`` if it is there).
    Raises ConfigError whose message lists every problem at once.
    """
    environ = os.environ if environ is None else environ
    named = path or (Path(environ["BRIDGE_CONFIG"]) if environ.get("BRIDGE_CONFIG") else None)
    problems: list[str] = []
    values: dict[str, Any] = {}
    if named or DEFAULT_FILE.is_file():
        file = named or DEFAULT_FILE
        try:
            values = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as err:
            problems.append(f"{file}: {err}")
    environment = _Environment(Settings, environ)
    problems += environment.problems
    try:
        for section, fields in environment().items():
            into = values.setdefault(section, {})
            if isinstance(into, dict) and isinstance(fields, dict):
                into.update(fields)
        settings = Settings(**values)
        offers_of(settings)
    except ConfigError as err:
        problems += str(err).splitlines()
    except ValidationError as err:
        problems += [_in_words(problem) for problem in err.errors(include_url=False, include_input=False)]
    except ValueError as err:  # a list given in the environment that is not JSON
        problems.append(str(err))
    if problems:
        raise ConfigError("The settings have problems:\n" + "\n".join(f"  - {problem}" for problem in problems))
    return settings


def offers_of(settings: Settings) -> Offers:
    """The operator's offers, from the file that the settings name. Raises ConfigError with every problem in it."""
    named = settings.orders.offers_file
    file = Path(named) if named else OFFERS_FILE
    if not named and not file.is_file():
        return NO_OFFERS
    try:
        return read_offers(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(f"{file}: can't be read: {type(err).__name__}") from err
    except ValueError as err:
        raise ConfigError("\n".join(f"{file}: {line}" for line in str(err).splitlines())) from err


def _in_words(problem: Any) -> str:
    place = ".".join(str(part) for part in problem["loc"]) or "settings"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "missing":
        section, _, name = place.partition(".")
        needed = f"set it in the file or as {env_name(section, name)}" if name else f"[{section}] is needed"
        message = f"missing; {needed}"
    elif problem["type"] == "extra_forbidden":
        message = "no such setting"
    return f"{place}: {message}"
