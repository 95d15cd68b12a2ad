import base64

import pytest

from b24app.config import Config, ConfigError, load

KEY = base64.urlsafe_b64encode(b"v" * 32).decode()
GOOD = {
    "B24_CLIENT_ID": "app.1", "B24_CLIENT_SECRET": "s3cret-of-the-app", "APP_URL": "https://sundown.example.com",
    "DATABASE_URL": "postgres://u:p@db/sundown", "SECRET_KEY": "k" * 40, "TOKEN_KEYS": KEY,
}  # fmt: skip


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name.upper() for name in Config.model_fields]:
        monkeypatch.delenv(name, raising=False)


def environment(monkeypatch: pytest.MonkeyPatch, **changes: str | None) -> None:
    for name, value in {**GOOD, **changes}.items():
        if value is not None:
            monkeypatch.setenv(name, value)


def test_the_defaults_are_the_contracts(monkeypatch: pytest.MonkeyPatch):
    environment(monkeypatch)

    settings = load()

    assert settings.oauth_urls == ("https://oauth.bitrix.info", "https://oauth.bitrix24.tech")
    assert (settings.api_log_days, settings.trusted_proxies, settings.worker_threads) == (7, 1, 32)
    assert (settings.log_level, settings.log_format) == ("INFO", "json")
    assert settings.is_public


def test_both_names_of_postgresql_are_accepted(monkeypatch: pytest.MonkeyPatch):
    environment(monkeypatch)

    url = load().database_url

    assert url is not None
    assert url.get_secret_value() == "postgresql://u:p@db/sundown"


def test_several_keys_are_read_newest_first(monkeypatch: pytest.MonkeyPatch):
    environment(monkeypatch, SECRET_KEY=f"{'a' * 32},{'b' * 32}", TOKEN_KEYS=f"{KEY},{KEY}")

    settings = load()

    assert settings.session_keys == ("a" * 32, "b" * 32)
    assert settings.vault_keys == (b"v" * 32, b"v" * 32)


@pytest.mark.parametrize(("name", "value"), [
    ("B24_CLIENT_ID", None), ("B24_CLIENT_SECRET", None), ("APP_URL", None), ("SECRET_KEY", None), ("TOKEN_KEYS", None),
    ("SECRET_KEY", "short"), ("SECRET_KEY", f"{'a' * 32},short"), ("TOKEN_KEYS", "bm90IDMyIGJ5dGVz"),
    ("TOKEN_KEYS", "%%%"), ("TOKEN_KEYS", f"!!{KEY}"), ("TOKEN_KEYS", f"{KEY[:20]} {KEY[20:]}"),
    ("B24_CLIENT_ID", " "), ("B24_CLIENT_SECRET", "\t"),
    ("APP_URL", "https://sundown.example.com:99999"), ("APP_URL", "https://sundown.example.com:port"),
    ("APP_URL", "sundown.example.com"), ("APP_URL", "ftp://x"),
    ("APP_URL", "https://sundown.example.com /app"), ("APP_URL", "https://sun down.example.com"),
    ("APP_URL", "https://sundown.example.com\t"), ("APP_URL", "https://sundöwn.example.com"), ("WEB_THREADS", "many"),
    ("WEB_THREADS", "1"), ("WEB_CONCURRENCY", "0"), ("PORT", "99999"),
    ("DATABASE_URL", "mysql://x/y"), ("DATABASE_URL", None),
    ("B24_OAUTH_URL", "oauth.bitrix.info"), ("B24_OAUTH_URL", "http://oauth.example.com"),
    ("B24_PORTAL_NETWORKS", "10.0.0.0/33"), ("B24_PORTAL_NETWORKS", "0.0.0.0/0"),
    ("B24_PORTAL_NETWORKS", "10.0.0.0/7"), ("B24_PORTAL_NETWORKS", "10.1.0.0/16, ::/0"),
    ("B24_PORTAL_NETWORKS", "fc00::/6"), ("B24_ALLOW_INSECURE_PORTALS", "1"), ("API_LOG_DAYS", "2"),
    ("API_LOG_DAYS", "91"), ("WORKER_THREADS", "none"), ("LOG_LEVEL", "LOUD"), ("LOG_FORMAT", "xml"),
])  # fmt: skip
def test_a_missing_or_weak_value_stops_the_start_in_one_line_naming_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str | None
):
    environment(monkeypatch, **{name: value})

    with pytest.raises(ConfigError) as stopped:
        load()

    line = str(stopped.value)
    assert line.startswith(f"{name}: ")
    assert "\n" not in line
    if name in ("SECRET_KEY", "TOKEN_KEYS") and value is not None:
        assert value not in line


def test_loopback_may_use_insecure_portals_and_the_embedded_database(monkeypatch: pytest.MonkeyPatch):
    environment(monkeypatch, APP_URL="http://127.0.0.1:8100", B24_ALLOW_INSECURE_PORTALS="1", DATABASE_URL=None)

    settings = load()

    assert settings.is_loopback
    assert settings.b24_allow_insecure_portals
    assert settings.database_url is None


@pytest.mark.parametrize("address", [
    "http://sundown.example.com", "https://localhost", "https://10.1.2.3", "https://[::1]:8000", "https://intranet",
])  # fmt: skip
def test_only_https_on_a_public_name_counts_as_public(monkeypatch: pytest.MonkeyPatch, address: str):
    environment(monkeypatch, APP_URL=address)

    assert not load().is_public


def test_networks_of_private_portals_are_read(monkeypatch: pytest.MonkeyPatch):
    environment(monkeypatch, B24_PORTAL_NETWORKS="10.1.0.0/16, fd00::/8, 10.0.0.0/8, fc00::/7")

    assert [str(network) for network in load().b24_portal_networks] == [
        "10.1.0.0/16",
        "fd00::/8",
        "10.0.0.0/8",
        "fc00::/7",
    ]


def test_every_secret_is_known_to_the_redaction(monkeypatch: pytest.MonkeyPatch):
    environment(
        monkeypatch, METRICS_TOKEN="figures-only-for-us", DATABASE_URL="postgres://me:p%40ssword-of-us@db.example/x"
    )

    known = load().secrets()

    for secret in (GOOD["B24_CLIENT_SECRET"], GOOD["SECRET_KEY"], KEY, "figures-only-for-us", "p@ssword-of-us"):
        assert secret in known
