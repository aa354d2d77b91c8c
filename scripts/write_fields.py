"""Write what is derived from the fields of a configuration: a docstring, and a JSON schema for editors.

The docstrings of `DispatchFields` and `ModelFields` describe the fields. From them come the list in the
docstring of `DispatcherChatModel`, which IDEs and `DispatcherChatModel?` show, and
`docs/dispatch.schema.json`.

    python scripts/write_fields.py            # rewrite both
    python scripts/write_fields.py --check    # exit 1 if one is out of date, write nothing
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from langchain_llmdispatch.chat_model import chat_model
from langchain_llmdispatch.config.configuration import DispatcherConfig
from langchain_llmdispatch.config.schema import ModelFields

MODULE = Path(chat_model.__file__)
SCHEMA = ROOT / "docs" / "dispatch.schema.json"
SECTION = re.compile(r'(?<=    Attributes:\n)        model: .*?(?=    """\n)', re.DOTALL)


def first_sentence(text: str) -> str:
    """Return the first sentence of a description; what follows a semicolon or a colon belongs to it."""
    return re.split(r"(?<=[^.])\.(?= [A-Z])", text)[0].rstrip(".")


def line_of(name: str) -> str:
    """Return one field's lines: what it is, and its default where that is a plain value."""
    field = ModelFields.model_fields[name]
    plain = isinstance(field.default, (str, int, float)) and field.default is not False
    default = f" (default {field.default!r})" if plain else ""
    return textwrap.fill(
        f"{name}: {first_sentence(field.description or '')}{default}.",
        110,
        initial_indent=" " * 8,
        subsequent_indent=" " * 12,
        break_on_hyphens=False,
        break_long_words=False,
    )


def docstring(source: str) -> str:
    """Return the module's source with the list of fields anew."""
    lines = "\n".join(map(line_of, ModelFields.model_fields))
    return SECTION.sub(lambda _: f"{lines}\n", source, count=1)


def schema() -> str:
    """Return the JSON schema of a configuration file."""
    made = DispatcherConfig.model_json_schema()
    about = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "dispatch.yaml"}
    return json.dumps({**made, **about}, indent=1, sort_keys=True) + "\n"


def stale() -> dict[Path, str]:
    """Return the files that are out of date, with what should be in them."""
    fresh = {MODULE: docstring(MODULE.read_text(encoding="utf-8")), SCHEMA: schema()}
    return {p: text for p, text in fresh.items() if not p.exists() or p.read_text(encoding="utf-8") != text}


def main(argv: list[str]) -> int:
    """Rewrite or check the files; return the exit status."""
    found = stale()
    for path, text in found.items():
        print(f"{path.name} is {'out of date' if '--check' in argv else 'written'}")
        if "--check" not in argv:
            path.write_text(text, encoding="utf-8")
    return int(bool(found) and "--check" in argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
