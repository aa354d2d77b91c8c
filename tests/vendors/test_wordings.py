"""The shared wordings: each text that was seen means the class of its row, and no innocent text does."""

from __future__ import annotations

import re
from collections.abc import Iterator

from langchain_llmdispatch import errors
from langchain_llmdispatch.errors import VendorError
from langchain_llmdispatch.vendors.wordings import narrowed, normal, wordings
from tests.cases import each

GROUPS = wordings()
WINDOWS = (
    "SGLang vLLM TGI llama.cpp LM-Studio Ollama Together Groq xAI Moonshot DeepInfra Fireworks OpenRouter Databricks Bedrock"
    " DashScope Zhipu NIM LiteLLM Copilot Cerebras Mistral DeepSeek Azure Gemini Cohere OpenAI Anthropic"
    " Cloudflare SiliconFlow Volcengine MiniMax watsonx"
).split()


def seen() -> Iterator[tuple[str, list[str], str]]:
    """Yield each text with the class that it means and those that it narrows."""
    for group in GROUPS:
        for row in group["rows"]:
            for _, text, _ in row["seen"]:
                yield group["means"], group["narrows"], text


@each(("means", "narrows", "text"), list(seen()))
def test_what_was_seen(means: str, narrows: list[str], text: str) -> None:
    """A text means the class of its group, whichever of the broader classes it comes with."""
    for broader in narrows:
        for form in (text, text.upper(), f"Error code: 400 - {{'message': \"{text}\"}}"):
            assert narrowed(getattr(errors, broader), form).__name__ == means


def test_each_row_has_a_source() -> None:
    """A source is a thread or a file of a repository, a page of documentation, or a recording."""
    form = re.compile(
        r"recorded|[\w.-]+/[\w.-]+(?:#\d+| [\w./ ,-]+)|[\w-]+(?:\.[\w-]+)+(?:/[\w/.-]+|, [\w ]+)?"
    )
    for group in GROUPS:
        for row in group["rows"]:
            assert row["seen"], row["words"]
            assert all(form.fullmatch(source) for _, _, source in row["seen"]), row["seen"]


def test_the_windows_of_many_servers() -> None:
    """A window that is too small is known in the words of these servers."""
    rows = [row for group in GROUPS if group["means"] == "ContextOverflowError" for row in group["rows"]]
    found = {server.replace(" ", "-") for row in rows for server, _, _ in row["seen"]}
    assert set(WINDOWS) <= found


INNOCENT = (
    "you must provide a model parameter",
    "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
    "Missing required parameter: 'messages'.",
    "Invalid type for 'messages[0].content': expected one of a string or array of objects, but got an object.",
    "-1 is less than the minimum of 1 - 'dimensions'",
    "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 200 instead.",
    "Invalid 'n': integer above maximum value. Expected a value <= 128, but got 500 instead.",
    "Invalid 'max_tokens': integer below minimum value. Expected a value >= 1, but got 0 instead.",
    "temperature: range: 0..1",
    "messages: at least one message is required",
    "messages.0: all messages must have non-empty content except for the optional final assistant message",
    "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: srvtoolu_01.",
    (
        "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at"
        " https://docs.claude.com/en/docs/extended-thinking#max-tokens-and-context-window-size"
    ),
    "messages.0.content: Input should be a valid list",
    "container: Input should be a valid string",
    "Provided image is not valid.",
    "The document has no pages.",
    "Request contains an invalid argument.",
    (
        "Unable to submit request because it has a temperature value of 1000 but the supported range is from 0"
        " (inclusive) to 2.0001 (exclusive)."
    ),
    "invalid request: message must be at least 1 token long or tool results must be specified.",
    "invalid request: all elements in tools must have a name.",
    "tool call id not found in previous tool calls",
    "Failed to deserialize the JSON body into the target type: missing field `messages` at line 1 column 75",
    "Missing parameter 'name': messages with role 'function' must have a 'name'.",
    "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'.",
    "We could not parse the JSON body of your request.",
    'Your message "write about the context window of a poem, and the maximum of it" is empty',
    "Invalid 'seed': expected an integer, but got a string with the words context length.",
    "body.temperature: Input should be less than or equal to 2",
    "body.messages: Field required",
    "prompt must not be empty",
    "my_maximum context lengths are fine",
    "too many" + " words" * 20 + " before the tools",
)


@each("text", INNOCENT)
def test_innocent_texts(text: str) -> None:
    """The caller's own mistakes stay that: words count whole and near each other, addresses not at all."""
    assert narrowed(errors.InvalidRequestError, text) is errors.InvalidRequestError


@each(
    ("cls", "text"),
    [
        (errors.ModelNotFoundError, "The model `gpt-9` does not exist or you do not have access to it."),
        (errors.ModelNotFoundError, "models/gemini-0 is not found for API version v1, or is not supported."),
        (errors.ModelNotFoundError, "Publisher Model `projects/p/models/file` not found."),
        (errors.ModelNotFoundError, "The API deployment for this resource does not exist."),
        (errors.ModelNotFoundError, "Resource not found"),
        (errors.ModelNotFoundError, "404 page not found"),
        (errors.ModelNotFoundError, "Not Found"),
        (errors.PermissionDeniedError, "Project `proj_1` does not have access to model `gpt-9`"),
        (errors.PermissionDeniedError, "You are not allowed to sample from this model"),
        (errors.RateLimitError, "Rate limit reached on tokens per min (TPM): Limit 6000, Used 5455, Requested 709."),
        (errors.RateLimitError, "ThrottlingException: Too many tokens, please wait before trying again."),
        (errors.ServerError, "Internal error: the image format is not supported by the converter"),
        (errors.AuthenticationError, "Incorrect API key provided: maximum context length"),
        (errors.RequestTooLargeError, "Payload Too Large"),
    ],
)  # fmt: skip
def test_what_stays(cls: type[VendorError], text: str) -> None:
    """What speaks of the model, the key or the vendor keeps the class of its status."""
    assert narrowed(cls, text) is cls


def test_normal_texts() -> None:
    """Case, quotes, addresses, numbers, breaks and plurals in parentheses do not count."""
    text = "At MOST \u201c1,024\u201d image(s)\\nper `request`,\n see https://a.test/x?maximum+context+length"
    assert normal(text) == "at most # images per request, see "
