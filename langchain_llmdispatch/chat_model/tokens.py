"""Counting tokens without a call: LangChain's hooks, and a counter for its `SummarizationMiddleware`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    MessageLikeRepresentation,
    convert_to_messages,
    get_buffer_string,
)
from langchain_core.messages.utils import count_tokens_approximately

from langchain_llmdispatch.chat_model import late
from langchain_llmdispatch.chat_model.part import ModelPart
from langchain_llmdispatch.internal.json_format import dump_json
from langchain_llmdispatch.internal.lazy import LateModule
from langchain_llmdispatch.types import ChatRequest
from langchain_llmdispatch.vendors.token_counts import CountsTokens

if TYPE_CHECKING:
    from langchain_llmdispatch.deployments.target import Target
    from langchain_llmdispatch.drivers.token_counts import RemoteCounts
    from langchain_llmdispatch.vendors import deep_requests
else:
    deep_requests = LateModule("langchain_llmdispatch.vendors.deep_requests")

# LangChain's own bound of what a vendor's count may add to an estimate (`count_tokens_approximately`).
_MOST_SCALE = 1.25


class TokenCounting(ModelPart):
    """Counts tokens: by `custom_get_token_ids`, else by the characters in the planned vendor's tokens."""

    def get_token_ids(self, text: str) -> list[int]:
        """Return the ids of `custom_get_token_ids`; without it, one id per estimated token.

        No vendor publishes ids, and no tokenizer is downloaded.
        """
        if self.custom_get_token_ids is not None:
            return self.custom_get_token_ids(text)
        return list(range(count_tokens_approximately([text], chars_per_token=self._characters_per_token())))

    def get_num_tokens_from_messages(
        self,
        messages: Sequence[BaseMessage],
        tools: Sequence[Any] | None = None,
        *,
        exact: bool | None = None,
        **kwargs: Any,
    ) -> int:
        """Return the number of tokens in a conversation, tools included.

        Args:
            messages: The conversation.
            tools: What `bind_tools` takes.
            exact: Whether the planned vendor counts at its own endpoint (OpenAI, Anthropic, Gemini; Cohere
                counts the text). It costs a request, whose answer is kept; where there is no answer within 10
                seconds, or no endpoint, the estimate is returned. None: as the field `count_tokens` sets it,
                unless there is a `custom_get_token_ids`.
            kwargs: Keywords of the call that count, too: `model`, `response_format`, `thinking`, ...
        """
        if self._counts_exactly(exact):
            request, target = self._counted(messages, tools, kwargs)
            if target is not None and (found := self._token_counts.count(request, target)) is not None:
                return found
        return self._estimate(messages, tools, kwargs.get("model"))

    async def aget_num_tokens_from_messages(
        self,
        messages: Sequence[BaseMessage],
        tools: Sequence[Any] | None = None,
        *,
        exact: bool | None = None,
        **kwargs: Any,
    ) -> int:
        """Return the number of tokens in a conversation; see `get_num_tokens_from_messages`."""
        if self._counts_exactly(exact):
            request, target = self._counted(messages, tools, kwargs)
            if target is not None and (found := await self._token_counts.acount(request, target)) is not None:
                return found
        return self._estimate(messages, tools, kwargs.get("model"))

    def _counts_exactly(self, exact: bool | None) -> bool:
        return self.count_tokens == "exact" and self.custom_get_token_ids is None if exact is None else exact

    @property
    def _token_counts(self) -> RemoteCounts:
        return self._engine.shared_state.token_counts

    def _counted(
        self, messages: Sequence[BaseMessage], tools: Sequence[Any] | None, kwargs: Mapping[str, Any]
    ) -> tuple[ChatRequest, Target | None]:
        """Return the request whose tokens are counted, and the deployment that counts them."""
        words = {name: value for name, value in kwargs.items() if name != "model"}
        if tools:
            words["tools"] = late.neutral_tools.bound_tools(tools)
        return self._engine.requests.freeze(messages, None, words), self._engine.planned(kwargs.get("model"))

    def _estimate(
        self, messages: Sequence[BaseMessage], tools: Sequence[Any] | None = None, model: str | None = None
    ) -> int:
        bound: list[Any] = late.neutral_tools.bound_tools(tools) if tools else []
        if self.custom_get_token_ids is not None:
            texts = [get_buffer_string([message]) for message in messages]
            texts += [dump_json(tool).decode() for tool in bound]
            return sum(len(self.custom_get_token_ids(text)) for text in texts)
        factor = self._characters_per_token(model)
        try:
            return count_tokens_approximately(messages, tools=bound, chars_per_token=factor)
        except RecursionError as error:
            raise deep_requests.deep_request(ChatRequest(messages), error) from None

    def token_counter(self, messages: Iterable[MessageLikeRepresentation]) -> int:
        """Return the tokens of a conversation, for `SummarizationMiddleware(..., token_counter=...)`.

        It counts as LangChain does for a vendor's own model: by the characters a token of the vendor that
        is planned, corrected by what the last answer reports, whichever vendor gave it. The middleware
        then begins at the step at which it would with that vendor's package, also after a fallback.

        Args:
            messages: The conversation, or the last part of one: a part is estimated without correction,
                since the answers in it report the whole.
        """
        given = convert_to_messages(messages)
        estimate = self._estimate(given)
        found = _last_report(given)
        if found is None:
            return estimate
        index, reported = found
        before = self._estimate(given[: index + 1])
        scale = min(_MOST_SCALE, max(1.0, reported / before)) if before else 1.0
        return max(math.ceil(estimate * scale), reported)

    def _characters_per_token(self, model: str | None = None) -> float:
        """Return how many characters the planned vendor's tokens have."""
        target = self._engine.planned(model)
        return CountsTokens.characters_per_token if target is None else target.vendor.characters_per_token


def _last_report(messages: Sequence[BaseMessage]) -> tuple[int, int] | None:
    """Return the place of the last answer and the tokens that it reports for all up to it.

    None where it reports none, or where messages of its request are missing: then its figure is of more than
    is here. One may be missing, the system prompt, which agents keep out of their messages.
    """
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if isinstance(message, AIMessage):
            facts = message.response_metadata.get("llmdispatch")
            sent = facts.get("messages") if isinstance(facts, dict) else None
            whole = isinstance(sent, int) and sent - index in {0, 1}
            if whole and message.usage_metadata is not None:
                return index, message.usage_metadata["total_tokens"]
            return None
    return None
