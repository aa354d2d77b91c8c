"""Proxies and certificates of an environment, as curl and requests read them."""

from __future__ import annotations

import importlib.util
import ssl
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import trustme

from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.transport.proxies import Proxies, ssl_context
from tests.cases import each

PROXY = "http://proxy.test:3128"


@each(
    ("environment", "url", "proxy"),
    [
        ({}, "https://vendor.test", None),
        ({"HTTPS_PROXY": PROXY}, "https://vendor.test", PROXY),
        ({"HTTPS_PROXY": PROXY}, "http://vendor.test", None),
        ({"HTTPS_PROXY": "proxy.test:3128"}, "https://vendor.test", PROXY),
        ({"https_proxy": "user:p@proxy.test:1"}, "https://vendor.test", "http://user:p@proxy.test:1"),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "http://other.test"}, "https://vendor.test", PROXY),
        ({"https_proxy": "", "HTTPS_PROXY": PROXY}, "https://vendor.test", None),
        ({"https_proxy": "", "ALL_PROXY": PROXY}, "https://vendor.test", PROXY),
        ({"ALL_PROXY": f" {PROXY} "}, "http://vendor.test", PROXY),
        ({"HTTP_PROXY": PROXY, "REQUEST_METHOD": "GET"}, "http://vendor.test", None),
        ({"http_proxy": PROXY, "REQUEST_METHOD": "GET"}, "http://vendor.test", PROXY),
    ],
)
def test_the_proxy_of_a_url(environment: dict[str, str], url: str, proxy: str | None) -> None:
    """By scheme, lower case first; no scheme means http; the header of a CGI request is none."""
    assert Proxies(environment).of(httpx.URL(url)) == proxy


@each(
    ("bypass", "url", "direct"),
    [
        ("*", "https://vendor.test", True),
        ("vendor.test", "https://vendor.test", True),
        ("vendor.test", "https://api.vendor.test", True),
        (".vendor.test", "https://vendor.test", True),
        ("*.vendor.test", "https://api.vendor.test", True),
        ("vendor.test", "https://myvendor.test", False),
        ("VENDOR.test", "https://Vendor.Test", True),
        ("other.test, vendor.test", "https://vendor.test", True),
        ("other.test vendor.test", "https://vendor.test", True),
        ("vendor.test:8443", "https://vendor.test:8443", True),
        ("vendor.test:8443", "https://vendor.test", False),
        ("vendor.test:443", "https://vendor.test", True),
        ("10.0.0.0/8", "http://10.1.2.3:8080", True),
        ("10.0.0.0/8", "http://11.1.2.3", False),
        ("10.1.2.3/8", "http://10.9.9.9", True),
        ("127.0.0.1:80", "http://127.0.0.1", True),
        ("127.0.0.1:81", "http://127.0.0.1", False),
        ("::1", "http://[::1]:80", True),
        ("[::1]:80", "http://[::1]", True),
        ("fd00::/8", "http://[fd00::5]", True),
        ("10.0.0.0/8", "http://vendor.test", False),
        ("", "http://vendor.test", False),
        (",, :80 .", "http://vendor.test", False),
    ],
)
def test_hosts_without_a_proxy(bypass: str, url: str, direct: bool) -> None:
    """NO_PROXY takes hosts, domains, addresses and networks, with a port or without."""
    for name in ("no_proxy", "NO_PROXY"):
        found = Proxies({"ALL_PROXY": PROXY, name: bypass}).of(httpx.URL(url))
        assert (found is None) is direct


@each("value", ["ftp://s3cret@proxy.test", "http://", "socks4://proxy.test", "http://proxy.test:s3cret"])
def test_what_cannot_be_used_names_the_variable(value: str) -> None:
    """A setting that no proxy can be read from is a configuration error, without its value."""
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY") as caught:
        Proxies({"HTTPS_PROXY": value}).of(httpx.URL("https://vendor.test"))
    assert "s3cret" not in str(caught.value)


@pytest.mark.skipif(importlib.util.find_spec("socksio") is not None, reason="the package is there")
def test_a_socks_proxy_needs_its_package() -> None:
    """The error names the variable and the package."""
    with pytest.raises(ConfigurationError, match=r"all_proxy .*httpx\[socks\]"):
        Proxies({"all_proxy": "socks5://proxy.test"}).of(httpx.URL("https://vendor.test"))


def test_certificates_come_from_the_variables(tmp_path: Path) -> None:
    """A file of certificates replaces certifi's; a context is made once per setting."""
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    own = ssl_context({"SSL_CERT_FILE": str(file)})
    assert len(own.get_ca_certs()) == 1
    assert own is ssl_context({"SSL_CERT_FILE": str(file)})
    assert len(ssl_context({}).get_ca_certs()) > 1
    assert isinstance(ssl_context({"SSL_CERT_DIR": str(tmp_path)}), ssl.SSLContext)


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_missing_certificates_name_the_variable(tmp_path: Path, name: str) -> None:
    """Neither a missing file nor one that holds none is an error without its name."""
    with pytest.raises(ConfigurationError, match=name):
        ssl_context({name: str(tmp_path / "missing")})
    other = tmp_path / "other.pem"
    other.write_text("nothing")
    with pytest.raises(ConfigurationError, match=name):
        ssl_context({name: str(other)})


def test_http_1_1_is_announced(tmp_path: Path) -> None:
    """A server that speaks HTTP/2 as well is not left to guess."""
    authority, theirs = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("vendor.test").configure_cert(theirs)
    theirs.set_alpn_protocols(["h2", "http/1.1"])
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    ours = ssl_context({"SSL_CERT_FILE": str(tmp_path / "ca.pem")})
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ours.wrap_bio(to_client, to_server, server_hostname="vendor.test")
    server = theirs.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client, server):
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    assert server.selected_alpn_protocol() == "http/1.1"
