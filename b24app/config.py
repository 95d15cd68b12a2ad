"""The operator's environment, all of it, read once and frozen.

Names and defaults are the outward contract's. A missing or weak value stops the start with one line that names the
variable and the remedy; the value itself is never printed.
"""

import base64
import binascii
import os
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Literal, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

DEFAULT_OAUTH_URLS = "https://oauth.bitrix.info,https://oauth.bitrix24.tech"
Network = IPv4Network | IPv6Network
DATABASE_SCHEMES = ("postgres", "postgresql", "postgresql+psycopg")
DATABASE_HINT = "give a PostgreSQL address, like postgresql://user:password@host/name"
WIDEST = {4: 8, 6: 7}  # as wide as the private networks there are: 10.0.0.0/8, fc00::/7
KEY_HINT = "make keys with `flask b24 keys`"
PLAIN_BASE64 = str.maketrans("-_", "+/")


class ConfigError(SystemExit):
    """Stops the start; its text is the one line the operator reads."""


class Part(BaseSettings):
    """Some of the settings, for a command that needs no more."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)


PartT = TypeVar("PartT", bound=Part)


class WebServer(Part):
    """What gunicorn itself takes."""

    port: int = Field(8000, ge=1, le=65535)
    web_concurrency: int = Field(2, ge=1, le=256)
    web_threads: int = Field(24, ge=2, le=256)  # they wait for portals and cost next to nothing


class Keys(Part):
    """What opens the tokens at rest."""

    token_keys: SecretStr

    @field_validator("token_keys")
    @classmethod
    def _thirty_two_bytes(cls, value: SecretStr) -> SecretStr:
        if any(len(_decoded(key)) != 32 for key in value.get_secret_value().split(",")):
            raise ValueError(f"each key must be base64url of 32 bytes; {KEY_HINT}")
        return value

    @cached_property
    def vault_keys(self) -> tuple[bytes, ...]:
        """Keys that encrypt what is secret at rest, newest first."""
        return tuple(_decoded(key) for key in self.token_keys.get_secret_value().split(","))


class RetentionSettings(Part):
    """How long things are kept."""

    api_log_days: int = Field(7, ge=3, le=90)  # requests to portals and their answers
    history_months: int = Field(24, ge=3, le=120)  # runs that have ended


class Config(Keys, RetentionSettings, WebServer):
    """Settings in the contract's names, lower-cased."""

    b24_client_id: str = Field(min_length=1)
    b24_client_secret: SecretStr = Field(min_length=1)
    b24_oauth_url: str = DEFAULT_OAUTH_URLS
    app_url: str
    database_url: SecretStr | None = None
    secret_key: SecretStr
    b24_portal_networks: Annotated[tuple[Network, ...], NoDecode] = ()
    b24_allow_insecure_portals: bool = False
    metrics_token: SecretStr | None = None
    trusted_proxies: int = Field(1, ge=0, le=10)
    worker_threads: int = Field(32, ge=1, le=256)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] = "json"

    @field_validator("app_url")
    @classmethod
    def _base_url(cls, value: str) -> str:
        parts = urlsplit(value)
        odd = not value.isascii() or not value.isprintable() or " " in value or not _has_a_port_that_exists(parts)
        if odd or parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("give the app's own address, like https://sundown.example.com")
        if parts.username or parts.password:
            raise ValueError("leave user name and password out of the address")
        return value.rstrip("/")

    @field_validator("b24_client_id", "b24_client_secret", mode="before")
    @classmethod
    def _not_blank(cls, value: object) -> object:
        return value.strip() if isinstance(value, str) else value

    @field_validator("b24_oauth_url")
    @classmethod
    def _servers(cls, value: str) -> str:
        servers = [part.strip().rstrip("/") for part in value.split(",") if part.strip()]
        if not servers or any(urlsplit(s).scheme not in ("http", "https") or not urlsplit(s).hostname for s in servers):
            raise ValueError("give authorization servers as https://host, separated by commas")
        return ",".join(servers)

    @field_validator("database_url")
    @classmethod
    def _postgres(cls, value: SecretStr | None) -> SecretStr | None:
        return None if value is None else SecretStr(_read_by_libpq(value.get_secret_value()))

    @field_validator("secret_key")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        keys = value.get_secret_value().split(",")
        if any(len(key.strip()) < 32 for key in keys):
            raise ValueError(f"each key needs at least 32 characters; {KEY_HINT}")
        return value

    @field_validator("b24_portal_networks", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            networks = tuple(ip_network(part.strip(), strict=False) for part in value.split(",") if part.strip())
        except ValueError:
            raise ValueError("give networks like 10.1.0.0/16, separated by commas") from None
        if any(network.prefixlen < WIDEST[network.version] for network in networks):
            raise ValueError(
                "too wide a network: give only those in which portals live, like 10.1.0.0/16; at most a /8"
            )
        return networks

    @model_validator(mode="after")
    def _public_is_strict(self) -> "Config":
        if not self.is_public:
            return self
        if self.b24_allow_insecure_portals:
            raise ValueError("B24_ALLOW_INSECURE_PORTALS: not with a public APP_URL; unset it")
        if self.database_url is None:
            raise ValueError("DATABASE_URL: required when APP_URL is public; give a PostgreSQL address")
        if any(urlsplit(server).scheme != "https" for server in self.oauth_urls):
            raise ValueError("B24_OAUTH_URL: only https servers when APP_URL is public")
        return self

    @property
    def is_public(self) -> bool:
        """https with a host that is neither loopback nor private."""
        parts = urlsplit(self.app_url)
        return parts.scheme == "https" and not _is_private(parts.hostname or "")

    @property
    def is_loopback(self) -> bool:
        """The app is reachable from this machine only."""
        host = urlsplit(self.app_url).hostname or ""
        return host == "localhost" or _address(host, "is_loopback")

    @cached_property
    def oauth_urls(self) -> tuple[str, ...]:
        """Authorization servers the client secret may be sent to; the first is the default."""
        return tuple(self.b24_oauth_url.split(","))

    @cached_property
    def session_keys(self) -> tuple[str, ...]:
        """Keys that sign session tokens and OAuth states, newest first."""
        return tuple(key.strip() for key in self.secret_key.get_secret_value().split(","))

    def secrets(self) -> list[str]:
        """Every value that must never be seen in a log."""
        known = [self.b24_client_secret, self.secret_key, self.token_keys, self.metrics_token, self.database_url]
        whole = [secret.get_secret_value() for secret in known if secret is not None]
        parts = [part.strip() for value in whole for part in {value, *value.split(",")}]
        password = urlsplit(self.database_url.get_secret_value()).password if self.database_url else None
        return parts + ([password, unquote(password)] if password else [])


def database_url() -> str:
    """Where the tables are, for migrations: they need nothing else of the environment."""
    try:
        return _read_by_libpq(os.environ.get("DATABASE_URL", ""))
    except ValueError as error:
        raise ConfigError(f"DATABASE_URL: {error}") from None


def _read_by_libpq(url: str) -> str:
    """The address as PostgreSQL's own library reads it; ValueError when it cannot."""
    scheme, _, rest = url.partition("://")
    try:
        if scheme in DATABASE_SCHEMES and rest:
            conninfo_to_dict(f"postgresql://{rest}")
            return f"postgresql://{rest}"
    except ProgrammingError:  # its words would repeat a part of the address
        pass
    raise ValueError(DATABASE_HINT)


def load() -> Config:
    """The settings of this process; ConfigError with one line when something is missing or weak."""
    return _loaded(Config)


def load_keys() -> Keys:
    """TOKEN_KEYS alone; ConfigError as `load`."""
    return _loaded(Keys)


def load_retention() -> RetentionSettings:
    """API_LOG_DAYS and HISTORY_MONTHS alone; ConfigError as `load`."""
    return _loaded(RetentionSettings)


def load_web_server() -> WebServer:
    """What gunicorn takes; ConfigError as `load`."""
    return _loaded(WebServer)


def _loaded(part: type[PartT]) -> PartT:
    try:
        return part()
    except ValidationError as error:
        raise ConfigError(_lines(error)[0]) from None


def problems() -> list[str]:
    """All that is wrong with the environment, a line each; empty when it is well."""
    try:
        Config()
    except ValidationError as error:
        return _lines(error)
    return []


def _lines(error: ValidationError) -> list[str]:
    """A line for each fault; what commands share stands in classes of its own and comes last."""
    shared = {*Keys.model_fields, *RetentionSettings.model_fields}
    faults = error.errors(include_url=False, include_input=False)
    return [_line(fault) for fault in sorted(faults, key=lambda fault: bool(shared.intersection(fault["loc"])))]


def _line(fault: ErrorDetails) -> str:
    name = "".join(str(part) for part in fault["loc"][:1]).upper()
    if fault["type"] == "missing":
        hint = KEY_HINT if name in ("SECRET_KEY", "TOKEN_KEYS") else "set it in the environment"
        return f"{name}: missing; {hint}"
    words = fault["msg"].removeprefix("Value error, ")
    return f"{name}: {words}" if name else words


def _decoded(key: str) -> bytes:
    """The bytes of a key; none where there is a letter that base64 does not have."""
    plain = key.strip().translate(PLAIN_BASE64)
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _has_a_port_that_exists(parts: SplitResult) -> bool:
    try:
        return parts.port != 0
    except ValueError:
        return False


def _is_private(host: str) -> bool:
    if host == "localhost" or ("." not in host.strip("[]") and ":" not in host):
        return True
    return host.endswith((".localhost", ".local", ".internal")) or _address(host, "is_private")


def _address(host: str, flag: str) -> bool:
    try:
        return bool(getattr(ip_address(host), flag))
    except ValueError:
        return False
