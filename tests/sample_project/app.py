"""An application as users write it: an agent with a tool, and a question answered by whoever can."""

from __future__ import annotations

from typing import Any

from langchain.agents import create_agent
from langchain_core.tools import tool

from langchain_llmdispatch import Deployment, DispatcherChatModel

SUPPORT = DispatcherChatModel(
    models=[
        Deployment("openai:gpt-5.4-mini", api_key="test-key-of-the-app"),
        Deployment("anthropic:claude-haiku-4-5", api_key="test-key-of-the-app"),
    ]
)


@tool
def opening_hours(day: str) -> str:
    """Return when the shop is open.

    Args:
        day: The day of the week.
    """
    return "closed" if day.casefold() == "sunday" else "9:00 to 18:00"


def agent(model: DispatcherChatModel) -> Any:
    """Return an agent that knows the shop's hours."""
    return create_agent(model, tools=[opening_hours], system_prompt="Use tools to answer questions about the shop.")


def answer(question: str) -> str:
    """Return an answer of the support model."""
    return SUPPORT.invoke(question).text
