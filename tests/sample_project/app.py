"""An application as users write it: an agent with a tool, and questions for any of two vendors."""

from __future__ import annotations

import os
from typing import Any

from langchain.agents import create_agent
from langchain_core.tools import tool

from langchain_llmdispatch import Deployment, DispatcherChatModel

# The shop runs its own model server; a test that records needs it, a test that replays does not.
SHOP_URL = os.environ.get("SHOP_MODEL_URL", "http://127.0.0.1:8080/v1")


@tool
def opening_hours(day: str) -> str:
    """Return when the shop is open on a day of the week."""
    return f"On {day} the shop is " + ("closed" if day.casefold() == "sunday" else "open from 9:00 to 18:00")


def shop_model() -> DispatcherChatModel:
    """Return the model for agents."""
    own = Deployment("openai:qwen2.5-coder-0.5b", name="shop", base_url=SHOP_URL, api_key="shop-password-1")
    return DispatcherChatModel(models=[own], temperature=0)


def shop_agent() -> Any:
    """Return an agent with a tool for the shop's hours."""
    return create_agent(shop_model(), tools=[opening_hours])


def support_model(**options: Any) -> DispatcherChatModel:
    """Return the model that answers customers: one vendor, another if it fails."""
    return DispatcherChatModel(
        models=[
            Deployment("openai:gpt-5.4-mini", api_key="app-key-openai-1", input_price=0.75, output_price=4.5),
            Deployment("anthropic:claude-haiku-4-5", api_key="app-key-anthropic-1"),
        ],
        **options,
    )


def answer(question: str, **options: Any) -> Any:
    """Return the answer to a customer's question."""
    return support_model(**options).invoke(question)
