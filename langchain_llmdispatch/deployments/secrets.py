"""What of a target must not be shown: its key, the headers that users add, what clients and proxies add."""

from __future__ import annotations

from collections.abc import Iterator

from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.transport.own_client import additions
from langchain_llmdispatch.transport.proxies import proxy_addresses
from langchain_llmdispatch.vendors.redaction import header_secrets, proxy_passwords
from langchain_llmdispatch.vendors.word_secrets import secrets_in


def secrets_of(target: Target) -> Iterator[str]:
    """Yield the secrets of a target, and parts of them; some of them more than once."""
    key, config = target.endpoint.api_key, target.config
    if key is not None:
        yield key.get_secret_value()
    yield from header_secrets(target.endpoint.headers)
    yield from secrets_in({"query": target.endpoint.query})
    for client in (config.http_client, config.http_async_client):
        for name, value in additions(client) if client is not None else ():
            yield from header_secrets({name: value})
    yield from target.vendor.own_secrets()
    for address in proxy_addresses(target.variables):
        yield from proxy_passwords(address)
