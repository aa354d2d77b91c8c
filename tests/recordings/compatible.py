"""What is in recorded exchanges of other OpenAI-style servers, and of other vendors' compatible endpoints."""

from __future__ import annotations

from tests.recordings import openai

FOLDERS = dict.fromkeys(("openai_compat", "ollama", "cohere", "gemini", "anthropic"), ("chat.completions",))
"""Where such exchanges are; of the vendors with codecs of their own only their compatible endpoints."""

expected, call = openai.expected, openai.call
