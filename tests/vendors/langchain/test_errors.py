"""Errors of LangChain's integrations, as ours."""

from __future__ import annotations

from typing import Any, ClassVar

import httpx
import pytest
from langchain_core import exceptions as core
from langchain_core.load import dumps
from langchain_core.messages import AIMessage

from langchain_llmdispatch import errors
from langchain_llmdispatch.vendors.langchain.errors import translated
from tests.cases import each
from tests.models import ONE_CALL
from tests.vendors.langchain.models import Api, Scripted, answered, router


@each("colour", ONE_CALL)
@each(
    ("raised", "expected"),
    [
        (core.ModelRateLimitError("slow"), errors.RateLimitError),
        (core.ContextOverflowError("long"), errors.ContextOverflowError),
        (core.ModelTimeoutError("late"), errors.AttemptTimeoutError),
        (Api(401), errors.AuthenticationError),
        (Api(503), errors.OverloadedError),
        (Api(429, "insufficient_quota"), errors.QuotaExceededError),
        (Api(400, "unsupported_parameter"), errors.UnsupportedParameterError),
        (ConnectionError("gone"), errors.ConnectionFailedError),
        (httpx.ReadTimeout("late"), errors.AttemptTimeoutError),
        (NotImplementedError("no images"), errors.UnsupportedFeatureError),
        (RuntimeError("odd"), errors.VendorError),
    ],
)
def test_its_errors_are_ours(colour: str, raised: Exception, expected: type[Exception]) -> None:
    """Each is mapped, lets another deployment answer, and holds neither request nor key."""
    failing, spare = Scripted(steps=[raised]), Scripted(steps=[AIMessage("spare")])
    answer = answered(colour, router(failing, spare, max_retries=0), "Hello")
    attempts = answer.response_metadata["llmdispatch"]["attempts"]
    assert (answer.text, attempts[0]["error"]) == ("spare", expected.__name__)
    with pytest.raises(errors.AllDeploymentsFailedError) as caught:
        answered(colour, router(Scripted(steps=[raised]), max_retries=0), "Hello")
    inner = caught.value.errors[0]
    assert type(inner) is expected
    assert "secret" not in str(inner)
    assert "hush" not in str(inner)
    chain: BaseException | None = caught.value
    while chain is not None:
        assert not isinstance(chain, Api)
        assert not hasattr(chain, "request")
        chain = chain.__cause__ or chain.__context__


def test_the_facts_of_the_response_are_kept() -> None:
    """Status, code, request id and the time to wait."""
    error = translated(Api(429, "rate_limit_exceeded", {"retry-after": "7"}), Scripted())
    assert (error.status_code, error.code, error.request_id, error.retry_after) == (
        429,
        "rate_limit_exceeded",
        "req_7",
        7.0,
    )


def test_botocore_s_errors() -> None:
    """Bedrock's errors carry their meaning in a dictionary."""

    class ClientError(Exception):
        response: ClassVar[Any] = {
            "Error": {"Code": "ThrottlingException"},
            "ResponseMetadata": {"HTTPStatusCode": 400},
        }

    error = translated(ClientError("slow down"), Scripted())
    assert isinstance(error, errors.RateLimitError)


def test_bad_requests_end_the_call() -> None:
    """What is wrong for all vendors is neither retried nor sent elsewhere."""
    spare = Scripted()
    with pytest.raises(errors.InvalidRequestError):
        router(Scripted(steps=[core.ModelInvalidRequestError("no")]), spare).invoke("Hello")
    assert not spare.received


@each(
    ("raised", "text", "expected"),
    [
        (core.ModelInvalidRequestError, "Invalid 'tools': array too long.", errors.RequestTooLargeError),
        (core.ModelInvalidRequestError, "maximum context length is 9 tokens", errors.ContextOverflowError),
        (core.ModelInvalidRequestError, "temperature must be below 2", errors.InvalidRequestError),
        (core.ModelNotFoundError, "Item with id 'rs_1' not found.", errors.ItemNotFoundError),
        (core.ModelNotFoundError, "The model `m` does not exist.", errors.ModelNotFoundError),
        (core.ModelRateLimitError, "Request too large for m on TPM", errors.RequestAboveRateLimitError),
        (RuntimeError, "maximum context length is 9 tokens", errors.ContextOverflowError),
        (RuntimeError, "odd", errors.VendorError),
    ],
)
def test_the_words_of_vendors_narrow_a_class(
    raised: type[Exception], text: str, expected: type[Exception]
) -> None:
    """Integrations pass the vendors' texts on."""
    assert type(translated(raised(text), Scripted())) is expected


class Behind(Scripted):
    """An integration behind a gateway."""

    default_headers: dict[str, str]
    default_query: dict[str, str]
    model_kwargs: dict[str, Any]
    openai_proxy: str


BEHIND = Behind(
    default_headers={"x-portkey-api-key": "pk-0123456789", "x-tenant": "tenant-0123456789", "x-team": "ml"},
    default_query={"code": "code-0123456789"},
    model_kwargs={"extra_headers": {"authorization": "Bearer kwarg-0123456789"}},
    openai_proxy="http://me:proxy-0123456789@proxy.test:8080",
)
HELD = ("pk-0123456789", "tenant-0123456789", "code-0123456789", "kwarg-0123456789", "proxy-0123456789")


@each("held", HELD)
def test_what_an_integration_adds_is_redacted(held: str) -> None:
    """A gateway or a proxy may repeat it, in the text or in the code; short values are words."""
    error = translated(core.ModelAPIError(f"no {held} for ml"), BEHIND)
    assert error.message == "no [redacted] for ml"
    failing = BEHIND.model_copy(update={"steps": [Api(500, held)]})
    with pytest.raises(errors.AllDeploymentsFailedError) as caught:
        answered("invoke", router(failing, max_retries=0), "Hello")
    assert held not in repr([vars(error) for error in caught.value.errors])


def test_nothing_of_it_is_in_a_repr_or_in_json() -> None:
    """A deployment is shown with the name of its model; LangChain writes fields with credentials as left out."""
    model = router(BEHIND)
    shown = repr(model) + repr(model.models) + repr(model.deployments()) + dumps(model)
    assert not [held for held in HELD if held in shown]
