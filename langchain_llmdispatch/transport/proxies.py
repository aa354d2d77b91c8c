"""What the environment sets for the way to a host: proxies, hosts without one, certificates.

`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` in lower or upper case (lower wins) as curl, requests
and Go read them: a proxy without a scheme is an `http` one; `NO_PROXY` lists hosts, domains with all below
them, addresses, networks (`10.0.0.0/8`), each with a port or without, or `*`. `SSL_CERT_FILE` and
`SSL_CERT_DIR` replace the certificates of certifi.
"""

from __future__ import annotations

import importlib.util
import os
import ssl
import urllib.request
from collections.abc import Iterator, Mapping
from functools import cache
from ipaddress import ip_address, ip_network
from pathlib import Path

import httpx

from langchain_llmdispatch.errors import ConfigurationError

_VARIABLES = ("http_proxy", "https_proxy", "all_proxy")
_SCHEMES = ("http", "https", "socks5", "socks5h")
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Proxies:
    """The proxies that an environment names.

    Args:
        environment: The variables; None for the process's own, and the system's settings (macOS, Windows)
            where these name none.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._own = environment

    def of(self, url: httpx.URL) -> str | None:
        """Return the address of the proxy on the way to `url`; None for a direct connection.

        Raises:
            ConfigurationError: A variable names what cannot be used. Its value, which may hold a password, is
                not in the message.
        """
        variables = os.environ if self._own is None else self._own
        found = [self._variable(variables, name) for name in (f"{url.scheme}_proxy", "all_proxy")]
        name, value = next((one for one in found if one[1]), ("", ""))
        if not value:
            return self._of_system(url) if self._own is None else None
        bypass = self._variable(variables, "no_proxy")[1]
        port = url.port or _DEFAULT_PORTS.get(url.scheme, 0)
        if any(_covers(entry, url.host, port) for entry in bypass.replace(",", " ").split()):
            return None
        return _checked(name, value)

    def _variable(self, variables: Mapping[str, str], name: str) -> tuple[str, str]:
        # A CGI script gets a request's `Proxy` header as HTTP_PROXY.
        names = [name] if name == "http_proxy" and "REQUEST_METHOD" in variables else [name, name.upper()]
        return next(((each, variables[each].strip()) for each in names if each in variables), (name, ""))

    def _of_system(self, url: httpx.URL) -> str | None:
        named = {name: value for name, value in urllib.request.getproxies().items() if value}
        if not named or urllib.request.proxy_bypass(url.host):
            return None
        found = named.get(url.scheme) or named.get("all")
        return None if found is None else _checked("the system's proxy settings", found)


def proxy_addresses(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield the addresses in variables that name proxies; they may hold passwords."""
    for name in _VARIABLES:
        yield environment.get(name) or environment.get(name.upper()) or ""


def _covers(entry: str, host: str, port: int) -> bool:
    """Return whether an entry of NO_PROXY covers a host and port."""
    if entry == "*":
        return True
    name, only_port = _split(entry.lower())
    if only_port is not None and only_port != port:
        return False
    host = host.lower().strip("[]").rstrip(".")
    try:
        address = ip_address(host)
    except ValueError:
        name = name.removeprefix("*").strip(".")
        return bool(name) and (host == name or host.endswith(f".{name}"))
    try:
        return address in ip_network(name, strict=False)
    except ValueError:
        return False


def _split(entry: str) -> tuple[str, int | None]:
    """Return host and port of an entry; an IPv6 address may stand in brackets."""
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        port = rest.removeprefix(":")
    elif entry.count(":") == 1:
        host, _, port = entry.partition(":")
    else:
        host, port = entry, ""
    return host, int(port) if port.isdecimal() else None


@cache
def _checked(name: str, value: str) -> str:
    """Return the proxy's address with its scheme.

    Raises:
        ConfigurationError: It is no URL, or its kind of proxy cannot be used.
    """
    address = value if "://" in value else f"http://{value}"
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in _SCHEMES or not url.host:
        raise ConfigurationError(
            f"{name} is no address of a proxy: scheme://host:port with {', '.join(_SCHEMES)}."
        )
    if url.scheme.startswith("socks5") and importlib.util.find_spec("socksio") is None:
        raise ConfigurationError(
            f"{name} names a SOCKS proxy, which needs a package: pip install 'httpx[socks]'."
        )
    return address


def ssl_context(environment: Mapping[str, str] | None = None) -> ssl.SSLContext:
    """Return the TLS context for an environment, made once: it costs about 20 ms, and it is not changed.

    Args:
        environment: The variables; None for the process's own.

    Raises:
        ConfigurationError: `SSL_CERT_FILE` or `SSL_CERT_DIR` names nothing that can be read.
    """
    variables = os.environ if environment is None else environment
    return _context(variables.get("SSL_CERT_FILE") or None, variables.get("SSL_CERT_DIR") or None)


@cache
def _context(file: str | None, folder: str | None) -> ssl.SSLContext:
    context = _trusting(file, folder)
    context.set_alpn_protocols(["http/1.1"])  # what is spoken, as httpcore announces it
    return context


def _trusting(file: str | None, folder: str | None) -> ssl.SSLContext:
    if file is None and folder is None:
        return httpx.create_ssl_context(trust_env=False)
    if file is not None and not Path(file).is_file():
        raise ConfigurationError(f"SSL_CERT_FILE={file!r} is no file; correct the variable, or unset it.")
    if file is None and folder is not None and not Path(folder).is_dir():
        raise ConfigurationError(f"SSL_CERT_DIR={folder!r} is no folder; correct the variable, or unset it.")
    try:
        return ssl.create_default_context(cafile=file, capath=folder if file is None else None)
    except (ssl.SSLError, OSError) as error:
        raise ConfigurationError(f"SSL_CERT_FILE={file!r} holds no certificates: {error}.") from None
