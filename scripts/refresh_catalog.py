"""Regenerate `data/profiles.json` from the profile data of installed LangChain partner packages.

Run it where `langchain-openai`, `langchain-anthropic` and `langchain-google-genai` are installed, or hand it
a file `{vendor: {model: profile}}`. The hand-written `overlay` section is kept as it is. Model profiles come
from models.dev (MIT License) by way of those packages.

Shutdown dates in `data/retirements.json` come from Anthropic's SDK, and from an answer of OpenAI's
`GET /v1/models` (its `shutdown_date`), if one is handed in; the other rows are written by hand, and compared
with the dates in LiteLLM's table where that package is installed.

    python scripts/refresh_catalog.py            # rewrite the files
    python scripts/refresh_catalog.py --openai-models models.json   # curl -H ... https://api.openai.com/v1/models
    python scripts/refresh_catalog.py --check    # exit 1 if the file is out of date, write nothing
    python scripts/refresh_catalog.py --compare  # what LiteLLM dates differently, or no row has
    python scripts/refresh_catalog.py --from profiles.json --vendor cohere
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import re
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from langchain_core.language_models.model_profile import ModelProfile

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from langchain_llmdispatch.catalog import files
from langchain_llmdispatch.catalog.retirements import retirement_of
from langchain_llmdispatch.vendors import builtin_vendors

TARGET = Path(files.__file__).parent / "data" / "profiles.json"
RETIREMENTS = TARGET.with_name("retirements.json")
PACKAGES = {
    "openai": ("langchain-openai", "langchain_openai.data._profiles"),
    "anthropic": ("langchain-anthropic", "langchain_anthropic.data._profiles"),
    "google": ("langchain-google-genai", "langchain_google_genai.data._profiles"),
}
OF_LITELLM = {
    "openai": "openai",
    "anthropic": "anthropic",
    "gemini": "google",
    "xai": "xai",
    "deepseek": "deepseek",
}
"""Of LiteLLM's providers, those whose models' names are theirs alone; hosts of open weights share names."""
KNOWN_KEYS = frozenset(ModelProfile.__annotations__)
NOT_CHAT = ("embedding", "veo-", "lyria-", "gpt-image", "chatgpt-image", "realtime", "-live", "-tts")

Retirements = dict[str, dict[str, Any]]
Profiles = dict[str, dict[str, dict[str, Any]]]


def is_chat(model: str, profile: dict[str, Any]) -> bool:
    """Tell whether `model` answers a chat in text."""
    return profile.get("text_outputs") is not False and not any(word in model for word in NOT_CHAT)


def cleaned(profiles: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return chat models only, by name in lower case, with keys that LangChain has, sorted."""
    return {
        model.lower(): {key: profile[key] for key in sorted(profile) if key in KNOWN_KEYS}
        for model, profile in sorted(profiles.items())
        if is_chat(model.lower(), profile)
    }


def from_packages() -> tuple[Profiles, dict[str, str]]:
    """Return the profiles of the installed partner packages, and each vendor's source."""
    profiles: Profiles = {}
    sources: dict[str, str] = {}
    for vendor, (package, module) in PACKAGES.items():
        try:
            data = importlib.import_module(module)._PROFILES  # noqa: SLF001 - the packages have no public door to it
        except ImportError:
            continue
        profiles[vendor] = cleaned(data)
        sources[vendor] = f"{package} {version(package)} (models.dev, MIT License)"
    return profiles, sources


def from_file(path: Path, vendor: str | None) -> tuple[Profiles, dict[str, str]]:
    """Return the profiles in a file: `{vendor: {model: profile}}`, or `{model: profile}` of one vendor."""
    data = json.loads(path.read_text(encoding="utf-8"))
    by_vendor = {vendor: data} if vendor else data
    return (
        {name: cleaned(models) for name, models in by_vendor.items()},
        dict.fromkeys(by_vendor, path.name),
    )


def refreshed(
    current: dict[str, Any], profiles: Profiles, sources: dict[str, str], today: str
) -> dict[str, Any]:
    """Return the file's content with `profiles` in place of what it had for the same vendors.

    The date moves only if something else changed, so that a check against an unchanged source passes any day.
    """
    fresh = {
        "as_of": current.get("as_of", today),
        "sources": {**current.get("sources", {}), **sources},
        "overlay": current.get("overlay", {}),
        "profiles": {**current.get("profiles", {}), **profiles},
    }
    return fresh if fresh == current else {**fresh, "as_of": today}


def render(content: dict[str, Any]) -> str:
    """Return `content` as JSON with one model a line, so that a refresh reads well as a diff."""
    lines = ["{"]
    lines += [f"  {json.dumps(key)}: {json.dumps(content[key])}," for key in ("as_of", "sources")]
    for section in ("overlay", "profiles"):
        lines.append(f"  {json.dumps(section)}: {{")
        vendors = content[section]
        for vendor, models in vendors.items():
            rows = [f"      {json.dumps(name)}: {json.dumps(row)}" for name, row in models.items()]
            lines += [
                f"    {json.dumps(vendor)}: {{",
                ",\n".join(rows),
                "    }" + ("," if vendor != list(vendors)[-1] else ""),
            ]
        lines.append("  }" + ("," if section == "overlay" else ""))
    return "\n".join([*lines, "}", ""])


def day_of(text: str) -> str:
    """Return `November 30th, 2026` as `2026-11-30`."""
    plain = re.sub(r"(?<=\d)(?:st|nd|rd|th)", "", text)
    return datetime.strptime(plain, "%B %d, %Y").replace(tzinfo=UTC).date().isoformat()


def retirements_of_sdk() -> Retirements:
    """Return the dates in Anthropic's SDK, if it is installed."""
    try:
        listed = importlib.import_module("anthropic._data.deprecated_models").DEPRECATED_MODELS
    except ImportError:
        return {}
    source = f"anthropic {version('anthropic')}, _data/deprecated_models.py"
    return {"anthropic": {"source": source, "models": {n: day_of(d) for n, d in sorted(listed.items())}}}


def retirements_of_openai(path: Path) -> Retirements:
    """Return the dates in an answer of OpenAI's `GET /v1/models`."""
    listed = json.loads(path.read_text(encoding="utf-8"))["data"]
    dated = {each["id"]: each["shutdown_date"] for each in listed if each.get("shutdown_date")}
    return {
        "openai": {"source": "GET https://api.openai.com/v1/models", "models": dict(sorted(dated.items()))}
    }


def litellm_dates(path: Path) -> dict[tuple[str, str], str]:
    """Return the days in LiteLLM's table (MIT License) by vendor and model: chat models only."""
    table = json.loads(path.read_text(encoding="utf-8"))
    return {
        (OF_LITELLM[row["litellm_provider"]], name.rpartition("/")[2].lower()): row["deprecation_date"]
        for name, row in table.items()
        if row.get("litellm_provider") in OF_LITELLM
        and row.get("mode") in {"chat", "responses"}
        and row.get("deprecation_date")
        and not name.startswith("ft:")
        and is_chat(name.lower(), {})
    }


def compared(dates: dict[tuple[str, str], str]) -> list[str]:
    """Return a line for each date that our data have differently, or not at all."""
    vendors, lines = builtin_vendors(), []
    for (vendor, model), day in sorted(dates.items()):
        found = retirement_of(vendors[vendor].listing, model)
        if found is None:
            lines.append(f"{vendor}:{model} {day}: no row")
        elif found.on.isoformat() != day:
            lines.append(f"{vendor}:{model} {day}: here {found.on}")
    return lines


def compare() -> int:
    """Print what LiteLLM's table has differently; return the exit status."""
    found = importlib.util.find_spec("litellm")
    if found is None or found.origin is None:
        print("nothing to compare with: pip install litellm", file=sys.stderr)
        return 2
    table = Path(found.origin).with_name("model_prices_and_context_window_backup.json")
    print("\n".join(compared(litellm_dates(table))))
    return 0


def render_retirements(old: str, found: Retirements, today: str) -> str:
    """Return the file of retirements with other generated dates; rows by hand stay, a line each."""
    current = json.loads(old)
    generated = {**current["generated"], **found}
    day = current["as_of"] if generated == current["generated"] else today
    head = [f' "about": {json.dumps(current["about"])},', f' "as_of": "{day}",', ' "rows": [']
    rows = ",\n".join(f"  {json.dumps(row)}" for row in current["rows"])
    tail = json.dumps(generated, indent=1).replace("\n", "\n ")
    return "\n".join(["{", *head, rows, " ],", f' "generated": {tail}', "}", ""])


def refresh_retirements(target: Path, openai_models: Path | None, *, check: bool) -> bool:
    """Rewrite the retirements, or only return whether they are up to date."""
    found = {**retirements_of_sdk(), **(retirements_of_openai(openai_models) if openai_models else {})}
    old = target.read_text(encoding="utf-8")
    new = render_retirements(old, found, datetime.now(UTC).date().isoformat())
    if new != old and not check:
        target.write_text(new, encoding="utf-8")
    return new == old


def main(argv: list[str] | None = None) -> int:
    """Refresh or check the file; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="only tell whether the file is up to date")
    parser.add_argument(
        "--from", dest="source", type=Path, help="a JSON file to read instead of the packages"
    )
    parser.add_argument("--vendor", help="with --from: the file holds this vendor's models only")
    parser.add_argument("--target", type=Path, default=TARGET, help="the file to check or rewrite")
    parser.add_argument("--openai-models", type=Path, help="an answer of OpenAI's GET /v1/models")
    parser.add_argument("--compare", action="store_true", help="print what LiteLLM's table has differently")
    args = parser.parse_args(argv)
    if args.compare:
        return compare()

    if args.source is None and args.target == TARGET:
        fresh = refresh_retirements(RETIREMENTS, args.openai_models, check=args.check)
        state = "is up to date" if fresh else "is out of date" if args.check else "is written"
        print(f"{RETIREMENTS.name} {state}")
        if args.check and not fresh:
            return 1

    target: Path = args.target
    old = target.read_text(encoding="utf-8") if target.exists() else "{}"
    profiles, sources = from_file(args.source, args.vendor) if args.source else from_packages()
    if not profiles:
        print("no source: install the partner packages or give --from FILE", file=sys.stderr)
        return 2
    new = render(refreshed(json.loads(old), profiles, sources, datetime.now(UTC).date().isoformat()))
    if new == old:
        print(f"{target.name} is up to date")
        return 0
    if args.check:
        print(f"{target.name} is out of date: run scripts/refresh_catalog.py", file=sys.stderr)
        return 1
    target.write_text(new, encoding="utf-8")
    print(f"{target.name}: {sum(map(len, profiles.values()))} models from {', '.join(sorted(profiles))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
