"""Where the app may connect: public addresses, what the operator allows, and nothing that only looks public."""

import socket
import ssl
from ipaddress import ip_address, ip_network
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from b24app.bitrix.address import Addresses, is_public, plain_endpoint, plain_host, same_host
from b24app.bitrix.connect import GuardedAdapter
from b24app.bitrix.rest import Rest
from b24app.clock import utcnow
from b24app.errors import ForbiddenAddress, Unavailable
from b24sandbox.server.tls import server_context
from tests.loopback import Loopback, answer

DONE = answer(b'{"result":true}', "200 OK", "Content-Type: application/json")
PRIVATE = [
    "127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "192.0.0.192", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1",
    "239.255.255.255", "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "fd12::1", "fec0::1",
    "ff02::1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::1", "2001::1", "2001:db8::1", "3ffe::1", "3fff::1",
    "100::1", "::7f00:1", "5f00::1",
]  # fmt: skip


def answering(*addresses: str) -> "Names":
    """A resolver that knows these addresses for every name."""
    return Names([addresses])


class Names:
    """A resolver that answers in turn, the last answer for good, and counts how often it was asked."""

    def __init__(self, answers: list[tuple[str, ...]]) -> None:
        self._answers = answers
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, *_: Any) -> list[tuple[Any, ...]]:
        known = self._answers[min(len(self.asked), len(self._answers) - 1)]
        self.asked.append(host)
        return [self._entry(address, port) for address in known]

    def _entry(self, address: str, port: int) -> tuple[Any, ...]:
        if ":" in address:
            return socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0)
        return socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)


def call(addresses: Addresses, endpoint: str, seconds: float = 30) -> object:
    """One REST call with a token through the guarded connection."""
    return Rest(GuardedAdapter(addresses), utcnow).call(endpoint, "secret-token", "profile", {}, seconds).result


# --- the policy ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450::1", "192.0.1.1"])
def test_what_the_internet_gives_out_is_public(address: str):
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", PRIVATE)
def test_what_only_looks_public_is_refused(address: str):
    assert not is_public(ip_address(address))
    with pytest.raises(ForbiddenAddress):
        Addresses(resolver=answering(address)).allowed("portal.example", 443, secure=True)


@pytest.mark.parametrize("address", ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254"])
def test_a_mapped_address_is_what_it_leads_to(address: str):
    with pytest.raises(ForbiddenAddress):
        Addresses(resolver=answering(address)).allowed("portal.example", 443, secure=True)


def test_a_mapped_public_address_is_allowed():
    found = Addresses(resolver=answering("::ffff:1.1.1.1")).allowed("portal.example", 443, secure=True)

    assert found[0][4][0] == "::ffff:1.1.1.1"


def test_one_private_address_among_public_ones_spoils_the_name():
    with pytest.raises(ForbiddenAddress):
        Addresses(resolver=answering("1.1.1.1", "2606:4700:4700::1111", "10.0.0.1")).allowed(
            "p.example", 443, secure=True
        )


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "localhost", "0"])
def test_numbers_in_disguise_are_looked_through_by_the_real_resolver(host: str):
    with pytest.raises(ForbiddenAddress):
        Addresses().allowed(host, 443, secure=True)


def test_a_network_the_operator_names_is_open_and_its_neighbour_is_not():
    addresses = Addresses([ip_network("10.1.0.0/16")], resolver=Names([("10.1.2.3",), ("10.2.0.1",)]))

    assert addresses.allowed("portal.corp", 8443, secure=True)
    with pytest.raises(ForbiddenAddress):
        addresses.allowed("portal.corp", 8443, secure=True)


def test_another_port_than_443_needs_a_network_of_the_operator():
    with pytest.raises(ForbiddenAddress):
        Addresses(resolver=answering("1.1.1.1")).allowed("portal.example", 8443, secure=True)
    assert Addresses([ip_network("1.1.1.0/24")], resolver=answering("1.1.1.1")).allowed("p.example", 8443, secure=True)
    assert Addresses(allow_insecure=True, resolver=answering("1.1.1.1")).allowed("p.example", 8443, secure=True)


@pytest.mark.parametrize("networks", [[], [ip_network("10.0.0.0/8")]])
def test_http_needs_the_permission_for_insecure_portals(networks: list[Any]):
    names = answering("10.0.0.1")

    with pytest.raises(ForbiddenAddress):
        Addresses(networks, resolver=names).allowed("portal.corp", 80, secure=False)

    assert names.asked == []
    assert Addresses([ip_network("10.0.0.0/8")], allow_insecure=True, resolver=names).allowed("p", 80, secure=False)


def test_allowing_insecure_portals_opens_loopback_and_no_private_network():
    addresses = Addresses(allow_insecure=True, resolver=Names([("127.0.0.1",), ("10.0.0.1",)]))

    assert addresses.allowed("localhost", 8100, secure=False)
    with pytest.raises(ForbiddenAddress):
        addresses.allowed("portal.corp", 8100, secure=False)


def test_a_server_the_operator_vouches_for_may_be_anywhere_but_only_itself():
    addresses = Addresses(vouched=["https://auth.corp:8443"], resolver=answering("10.0.0.1"))

    assert addresses.allowed("auth.corp", 8443, secure=True)
    for host, port, secure in (("auth.corp", 443, True), ("auth.corp", 8443, False), ("other.corp", 8443, True)):
        with pytest.raises(ForbiddenAddress):
            addresses.allowed(host, port, secure=secure)


# --- names as they are written ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("said", "plain"), [
    ("acme.bitrix24.com", "acme.bitrix24.com"),
    (" ACME.bitrix24.com ", "acme.bitrix24.com"),
    ("acme.bitrix24.com:443", "acme.bitrix24.com"),
    ("acme.bitrix24.com:080", "acme.bitrix24.com"),
    ("portal.corp:8443", "portal.corp:8443"),
    ("127.0.0.2:8101", "127.0.0.2:8101"),
    ("my_portal.corp", "my_portal.corp"),
    ("acme.bitrix24.com.", "acme.bitrix24.com"),
    ("acme.bitrix24.com.:8443", "acme.bitrix24.com:8443"),
    ("[2A00:1450:0::1]", "[2a00:1450::1]"),
    ("[::1]:8443", "[::1]:8443"),
    ("Bücher.example", "xn--bcher-kva.example"),
    ("портал.рф:8443", "xn--80awhdgm.xn--p1ai:8443"),
    ("straße.example", "xn--strae-oqa.example"),
])  # fmt: skip
def test_a_host_is_written_in_one_way(said: str, plain: str):
    assert plain_host(said) == plain


@pytest.mark.parametrize("said", [
    "", "evil.com/", "a@b", "//evil", "https://evil.com", "evil.com:", "evil.com:0", "evil.com:99999", "evil.com:80:80",
    "evil .com", "evil.com\0", "-evil.com", "evil-.com", "a..b", ".a", "a..", ".", "::1", "[::1", "[::1%eth0]", "[x]",
    "\u212aelvin.example", "\u0430\u200dcme.example", "\uff41cme.example",
    "evil。com", "a" * 64 + ".com", "a." * 130 + "com", "evil.com?x", "evil.com#x", "evil.com;x", "*.evil.com",
    "e\nvil.com", None, 5, ["a"],
])  # fmt: skip
def test_what_is_no_plain_host_is_refused(said: object):
    with pytest.raises(ValueError, match="plain host"):
        plain_host(said)


def test_hosts_are_compared_without_default_ports_and_case():
    assert same_host("https://ACME.example:443/rest/", "acme.example")
    assert not same_host("acme.example:8443", "acme.example")
    assert not same_host("acme.example", "")
    assert not same_host("https://user@acme.example/", "acme.example")


@pytest.mark.parametrize(("said", "plain"), [
    ("https://acme.bitrix24.com/rest/", "https://acme.bitrix24.com/rest/"),
    ("https://ACME.bitrix24.com/rest", "https://acme.bitrix24.com/rest/"),
    ("https://portal.corp:8443/site/rest//", "https://portal.corp:8443/site/rest/"),
    ("https://[2a00:1450::1]/rest/", "https://[2a00:1450::1]/rest/"),
    ("https://[2A00:1450:0:0::1]:8443/rest/", "https://[2a00:1450::1]:8443/rest/"),
    ("https://my_portal.corp./rest/", "https://my_portal.corp/rest/"),
    ("https://bücher.example/rest/", "https://xn--bcher-kva.example/rest/"),
])  # fmt: skip
def test_an_endpoint_is_written_in_one_way(said: str, plain: str):
    assert plain_endpoint(said) == plain


@pytest.mark.parametrize("said", [
    "", "acme.bitrix24.com/rest/", "ftp://a.example/rest/", "file:///etc/passwd", "https:///rest/", "https://a@b/rest/",
    "https://a:b@c/rest/", "https://a.example/rest/?x=1", "https://a.example/rest/#x", "https://a.example:99999/rest/",
    "https://a.example\\@evil.example/rest/", "https://a b/rest/", "https://[::1/rest/", "https://a.example/r%00/",
    "https://a.example/re\nst/x y", "https://[zz::1]/rest/",
])  # fmt: skip
def test_what_is_no_endpoint_is_refused(said: str):
    with pytest.raises(ForbiddenAddress):
        Addresses(allow_insecure=True).check_endpoint(said)


def test_an_endpoint_with_a_private_address_or_plain_http_is_refused():
    with pytest.raises(ForbiddenAddress):
        Addresses(resolver=answering("10.0.0.1")).check_endpoint("https://portal.example/rest/")
    with pytest.raises(ForbiddenAddress):
        Addresses(resolver=answering("1.1.1.1")).check_endpoint("http://portal.example/rest/")


def test_an_endpoint_that_does_not_resolve_yet_is_refused_only_when_called():
    def unknown(*_: Any) -> list[tuple[Any, ...]]:
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    addresses = Addresses(resolver=unknown)

    assert addresses.check_endpoint("https://portal.example/rest") == "https://portal.example/rest/"
    with pytest.raises(Unavailable):
        call(addresses, "https://portal.example/rest/")


# --- where the connection is made ------------------------------------------------------------------------------------


@pytest.fixture
def certified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's context for portal.example, of an permissions this machine trusts."""
    context = server_context(tmp_path, ["127.0.0.9"], ("portal.example",))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return context


def loopback_is_allowed(names: Names) -> Addresses:
    return Addresses([ip_network("127.0.0.0/8")], resolver=names)


def test_the_connection_uses_the_checked_address_and_the_name_as_written(certified: ssl.SSLContext):
    names = answering("127.0.0.1")
    with Loopback(DONE, tls=certified) as server:
        result = call(loopback_is_allowed(names), server.url("portal.example"))

        assert result is True
        assert names.asked == ["portal.example"]
        assert server.names == ["portal.example"]
        assert f"Host: portal.example:{server.port}".encode() in server.asked[0]


def test_with_a_certificate_for_another_name_nothing_is_sent(certified: ssl.SSLContext):
    with Loopback(DONE, tls=certified) as server:
        with pytest.raises(Unavailable) as refused:
            call(loopback_is_allowed(answering("127.0.0.1")), server.url("other.example"))

        assert server.asked == []
        assert not refused.value.maybe_done


def test_a_certificate_of_an_unknown_authority_ends_the_call(tmp_path: Path):
    with Loopback(DONE, tls=server_context(tmp_path, ["127.0.0.1"], ("portal.example",))) as server:
        with pytest.raises(Unavailable):
            call(loopback_is_allowed(answering("127.0.0.1")), server.url("portal.example"))

        assert server.asked == []


def test_a_name_is_resolved_once_per_connection_and_checked_each_time(certified: ssl.SSLContext):
    names = Names([("127.0.0.1",), ("10.0.0.1",)])
    with Loopback(DONE, tls=certified) as server:
        rest = Rest(GuardedAdapter(loopback_is_allowed(names)), utcnow)

        assert rest.call(server.url("portal.example"), "t", "profile").result is True
        assert len(names.asked) == 1
        with pytest.raises(ForbiddenAddress):
            rest.call(server.url("portal.example"), "t", "profile")
        assert server.met == 1


def test_a_refused_address_is_never_connected_to():
    with Loopback(DONE) as server:
        with pytest.raises(ForbiddenAddress):
            call(Addresses(), server.url().replace("http:", "https:"))
        with pytest.raises(ForbiddenAddress):
            call(Addresses([ip_network("127.0.0.0/8")]), server.url())

        assert server.met == 0


def test_the_next_address_is_tried_when_the_first_does_not_answer(certified: ssl.SSLContext):
    with Loopback(DONE, tls=certified) as server:
        names = answering("127.0.0.77", "127.0.0.1")

        assert call(loopback_is_allowed(names), server.url("portal.example")) is True


def test_a_proxy_or_password_of_the_environment_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    secrets = tmp_path / "netrc"
    secrets.write_text("machine 127.0.0.1 login somebody password something\n")
    monkeypatch.setenv("NETRC", str(secrets))
    with Loopback(DONE) as proxy, Loopback(DONE) as server:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)

        assert call(Addresses(allow_insecure=True), server.url()) is True
        assert proxy.met == 0
        assert b"Authorization" not in server.asked[0]


def test_a_name_that_nobody_answers_for_costs_no_more_than_the_time_given():
    given_up = Event()

    def silent(*_: Any) -> list[tuple[Any, ...]]:
        given_up.wait(20)
        return []

    with pytest.raises(Unavailable) as late:
        call(Addresses(resolver=silent), "https://portal.example/rest/", seconds=0.3)

    given_up.set()
    assert late.value.code == "portal_timeout"
    assert not late.value.maybe_done
