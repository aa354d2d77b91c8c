"""The fields of a chat model: the deployments that they describe, and which may change later."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from langchain_core.language_models import BaseChatModel

from langchain_llmdispatch.config.environment import environment
from langchain_llmdispatch.config.schema import PARAMETERS, DispatchFields, ModelFields
from langchain_llmdispatch.deployments.deployment import Deployment
from langchain_llmdispatch.deployments.registry import DeploymentRegistry
from langchain_llmdispatch.deployments.resolver import Resolver
from langchain_llmdispatch.deployments.vendor_table import VendorTable
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.settings import Settings

_WORDS = ("vendor_params", "parallel_tool_calls")
CHANGEABLE = frozenset([*PARAMETERS, "unsupported_params", "streaming", "model_kwargs", *_WORDS])
"""Fields that act on the next call when they are changed; the other ones are read at construction only."""

_PER_CALL = {
    "model": "invoke(..., model=...)",
    "timeout": "invoke(..., timeout=...)",
    "deadline": "invoke(..., deadline=...)",
    "budget_usd": 'config={"configurable": {"max_cost": ...}}',
    "wait_for_preferred": 'config={"configurable": {"wait_for_preferred": ...}}',
    "allowed_vendors": 'config={"configurable": {"allowed_vendors": [...]}}',
}


def changed(name: str, value: Any) -> Any:
    """Return the value that a changeable field has when `value` is assigned to it.

    Raises:
        ConfigurationError: The field is read at construction only; the message names what to do instead.
        ValidationError: The value is not one for this field.
    """
    if name not in CHANGEABLE:
        other = f", or choose it per call: {_PER_CALL[name]}" if name in _PER_CALL else ""
        raise ConfigurationError(
            f"{name} cannot be changed after construction: make another model with "
            f"model.model_copy(update={{{name!r}: ...}}){other}."
        )
    if name not in DispatchFields.model_fields:
        return value
    return getattr(DispatchFields.model_validate({name: value}), name)


def registry_of(fields: ModelFields) -> DeploymentRegistry:
    """Return the deployments that the fields describe, resolved.

    Raises:
        ConfigurationError: Fields are contradictory, or name a vendor that is not known.
    """
    variables = environment() if fields.env is None else fields.env
    return DeploymentRegistry(
        Resolver(VendorTable(fields.custom_vendors), fields.vendors, variables),
        model=_first_deployment(fields),
        models=fields.models,
        routes=fields.routes,
        default_vendor=fields.default_vendor,
        fallback_vendor=fields.fallback_vendor,
        allowed_vendors=fields.allowed_vendors,
        missing_keys=fields.missing_keys,
    )


def shown_fields(fields: ModelFields) -> Iterator[tuple[str, Any]]:
    """Yield what `repr` shows of a model: deployments, strategy, and what was set to a plain value."""
    given = fields.model_fields_set
    if fields.model is not None:
        yield "model", _label(fields.model)
    if fields.models:
        yield "models", list(map(_label, fields.models))
    if fields.routes:
        yield "routes", {name: list(map(_label, route)) for name, route in fields.routes.items()}
    yield "strategy", fields.strategy
    for name in ModelFields.model_fields:
        value = getattr(fields, name)
        if name in given and name not in _SHOWN and isinstance(value, (str, int, float, bool, Settings)):
            yield name, value


_SHOWN = frozenset({"model", "models", "routes", "strategy", "api_key"})


def _label(deployment: Deployment | BaseChatModel | str) -> str:
    """Return the name of a deployment, or its model."""
    if isinstance(deployment, Deployment):
        return deployment.name or _label(deployment.model)
    return deployment if isinstance(deployment, str) else type(deployment).__name__


def _first_deployment(fields: ModelFields) -> Deployment | str | None:
    """Return the deployment that `model`, `api_key` and `base_url` describe, or the name of the route."""
    first = Deployment(fields.model) if isinstance(fields.model, BaseChatModel) else fields.model
    own = {
        "api_key": fields.api_key,
        "base_url": fields.base_url,
        "default_headers": fields.default_headers,
        "default_query": fields.default_query,
        "organization": fields.organization,
        "api_version": fields.api_version,
    }
    given: dict[str, Any] = {name: value for name, value in own.items() if value is not None}
    if not given:
        return first
    if first is None or (isinstance(first, str) and first in fields.routes):
        others = [name for name in given if name not in {"api_key", "base_url"}]
        words = f" (and {', '.join(others)})" if others else ""
        raise ConfigurationError(
            f"api_key and base_url belong to `model`{words}; give the model, or a Deployment."
        )
    if isinstance(first, str):
        return Deployment(first, **given)
    return Deployment(**{**{name: getattr(first, name) for name in first.model_fields_set}, **given})
