"""Where LiteLLM shares limits and cooldowns, as our field `redis`.

Its router has words of its own for it (`redis_host`, ...); its proxy uses the Redis of the cache, whether
answers are cached or not. Source: docs.litellm.ai, `/docs/proxy/config_settings`, `/docs/proxy/caching` and
`/docs/proxy/load_balancing`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from langchain_llmdispatch.config.litellm_report import LiteLLMReport, is_off, mapping_of

_OF_ROUTER = {
    "redis_url": "url",
    "redis_host": "host",
    "redis_port": "port",
    "redis_password": "password",
    "redis_db": "db",
}
# Of `cache_params`: where the server is, and what is about the cache of answers alone.
_WHERE = ("url", "host", "port", "password", "username", "db", "ssl", "namespace")
_OF_CACHE = frozenset(
    {"type", "ttl", "mode", "supported_call_types", "max_connections", "similarity_threshold"}
)
_VARIABLES = ("REDIS_URL", "REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD", "REDIS_USERNAME", "REDIS_SSL")


def redis_of(
    words: Mapping[str, Any],
    places: Mapping[str, str],
    variables: Mapping[str, str],
    report: LiteLLMReport,
) -> dict[str, Any]:
    """Return the field `redis`, or nothing where LiteLLM shares nothing.

    Args:
        words: The words of both sections.
        places: Where they stand, for the report.
        variables: Where a cache without an address has its own: `REDIS_HOST`, ...
        report: Where settings without a counterpart are noted.
    """
    own = {ours: words[theirs] for theirs, ours in _OF_ROUTER.items() if theirs in words}
    more = mapping_of(words.get("cache_kwargs") or {}, "cache_kwargs")
    if own.keys() & {"url", "host"}:
        report.add_unknown(f"{places.get('cache_kwargs', '')}.", more, _WHERE)
        return _field({**more, **own})
    if words.get("cache") is True:
        return _of_cache(
            words, places.get("cache_params", "litellm_settings.cache_params"), variables, report
        )
    for name in (*_OF_ROUTER, "cache_kwargs"):
        if name in words:
            report.add(places[name], "no redis_host")
    return {}


def _of_cache(
    words: Mapping[str, Any], where: str, variables: Mapping[str, str], report: LiteLLMReport
) -> dict[str, Any]:
    params = mapping_of(words.get("cache_params") or {}, where)
    if params.get("type", "local") != "redis":
        report.add_unknown(f"{where}.", params, _OF_CACHE)
        return {}
    report.add_unknown(f"{where}.", params, {*_WHERE, *_OF_CACHE})
    if not params.keys() & {"url", "host"}:
        params = {**_from(variables), **params}
    if not params.keys() & {"url", "host"}:
        report.add(where, "no host: write redis: {url: ...}")
        return {}
    return _field(params)


def _from(variables: Mapping[str, str]) -> dict[str, str]:
    """Return what the variables hold that LiteLLM reads where the cache has no address."""
    listed = frozenset(variables)  # not `in`: variables that stay references have any name
    return {
        name.removeprefix("REDIS_").lower(): variables[name]
        for name in _VARIABLES
        if name in listed and variables[name]
    }


def _field(where: Mapping[str, Any]) -> dict[str, Any]:
    namespace = {} if is_off(where.get("namespace")) else {"namespace": where["namespace"]}
    if not is_off(where.get("url")):
        return {"redis": {"url": str(where["url"]), **namespace}}
    user, password = _quoted(where.get("username")), _quoted(where.get("password"))
    access = f"{user}:{password}@" if password else ""
    scheme = "rediss" if str(where.get("ssl", "")).lower() in {"true", "1"} else "redis"
    url = f"{scheme}://{access}{where['host']}:{where.get('port') or 6379}/{where.get('db') or 0}"
    return {"redis": {"url": url, **namespace}}


def _quoted(value: Any) -> str:
    """Return a part of a URL; a reference to a variable stays one."""
    text = "" if value is None else str(value)
    return text if text.startswith("${") else quote(text, safe="")
