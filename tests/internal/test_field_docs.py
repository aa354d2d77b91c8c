"""What docstrings say of fields: descriptions and JSON schemas."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from langchain_llmdispatch import Deployment, DispatcherChatModel, DispatcherConfig, RoutingRule, VendorConfig
from langchain_llmdispatch.config.schema import ModelFields
from langchain_llmdispatch.dispatch.retries import RetryPolicy
from langchain_llmdispatch.internal.field_docs import field_docs

ROOT = Path(__file__).parents[2]
CLASSES = (ModelFields, DispatcherConfig, Deployment, VendorConfig, RetryPolicy, RoutingRule)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_field_is_described(cls: type[Any]) -> None:
    """Pydantic has the text of the docstring, for each field that is ours."""
    assert [name for name, field in cls.model_fields.items() if not field.description] == []


def test_a_description_is_one_line() -> None:
    """Lines of a docstring that continue a field belong to it; the next section does not."""

    class Documented:
        """A class.

        Attributes:
            first: Goes on
                here.
            second: Another.

        Raises:
            ValueError: Never.
        """

    assert field_docs(Documented) == {"first": "Goes on here.", "second": "Another."}


def test_the_docstring_of_the_model_and_the_published_schema_are_fresh() -> None:
    """Run `python scripts/write_fields.py` if they are not."""
    assert list(runpy.run_path(str(ROOT / "scripts" / "write_fields.py"))["stale"]()) == []


def test_the_models_docstring_lists_its_fields() -> None:
    """`DispatcherChatModel?` and hovering show each of them."""
    assert list(field_docs(DispatcherChatModel)) == list(ModelFields.model_fields)


SCHEMA = json.loads((ROOT / "docs" / "dispatch.schema.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "config",
    [
        {"models": ["openai:gpt-6-luna", {"model": "a:b", "rpm": "${RPM}"}], "deadline": 30},
        {"model": "fast", "routes": {"fast": "a:b", "smart": ["c:d"]}, "stop": "END"},
        {"vendors": {"openai": {"api_key": "${OPENAI_API_KEY}"}}, "strategy": {"cost": 1}},
        {"retry_policy": {"max_retries": 1}, "retry_quota": None, "server": {"port": 8000}},
        {"escalate_when": ["refusal"], "prompt_cache": "1h", "thinking": {"type": "enabled"}},
    ],
)
def test_an_editor_accepts_what_is_right(config: dict[str, Any]) -> None:
    """What a file may hold fits the schema."""
    jsonschema.validate(config, SCHEMA)


@pytest.mark.parametrize(
    "config",
    [
        {"modles": []},
        {"deadline": "soon"},
        {"models": [{"rpm": 3}]},
        {"on_stream_error": "ignore"},
        {"models": 3},
    ],
)
def test_an_editor_marks_what_is_wrong(config: dict[str, Any]) -> None:
    """Misspelt fields and values of a wrong kind do not fit the schema."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(config, SCHEMA)
