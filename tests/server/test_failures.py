"""What clients of OpenAI read of each error."""

from __future__ import annotations

from typing import Any

from langchain_llmdispatch import errors
from langchain_llmdispatch.server.failures import failure_of
from tests.cases import each

AT: dict[str, Any] = {"vendor": "openai", "deployment": "first"}
SECRET = "org-123 of sk-live-7 at https://internal.example"


def all_failed(*failed: errors.DispatchError) -> errors.DispatchError:
    """Return the error of a call whose attempts all failed."""
    return errors.AllDeploymentsFailedError.of(failed, ())


LIMITED = errors.RateLimitError(SECRET, status_code=429, retry_after=1.2, **AT)
QUOTA = errors.QuotaExceededError(SECRET, status_code=429, **AT)
BROKEN = errors.ServerError(SECRET, status_code=500, **AT)


@each(
    "error, status, code, retry",
    [
        (errors.BudgetExceededError("used up"), 429, "insufficient_quota", False),
        (errors.ContextOverflowError("too long", status_code=400, **AT), 400, "context_length_exceeded", None),
        (errors.ContentFilterError("no", status_code=400, **AT), 400, "content_filter", None),
        (errors.RequestTooLargeError("too large", status_code=413, **AT), 413, "request_too_large", None),
        (errors.InvalidRequestError("wrong", status_code=400, **AT), 400, None, None),
        (errors.UnsupportedParameterError("no x", **AT), 400, "unsupported_parameter", None),
        (errors.NoDeploymentError("none"), 400, "no_deployment", None),
        (errors.ConfigurationError("x is wrong"), 400, None, None),
        (errors.DeadlineExceededError("late"), 504, "deadline_exceeded", False),
        (errors.LimitTimeoutError("full", **AT), 429, "rate_limit_exceeded", None),
        (LIMITED, 429, "rate_limit_exceeded", True),
        (all_failed(LIMITED, LIMITED), 429, "rate_limit_exceeded", True),
        (QUOTA, 502, "vendor_quota_exceeded", False),
        (all_failed(QUOTA, QUOTA), 502, "vendor_quota_exceeded", False),
        (errors.AuthenticationError(SECRET, status_code=401, **AT), 502, "vendor_refused_key", False),
        (errors.PermissionDeniedError(SECRET, status_code=403, **AT), 502, "vendor_refused_key", False),
        (errors.ModelNotFoundError(SECRET, status_code=404, **AT), 502, "vendor_has_no_such_model", False),
        (errors.UnusableDeploymentError(SECRET, **AT), 502, "deployment_unusable", False),
        (errors.AttemptTimeoutError(SECRET, **AT), 504, "vendor_timeout", True),
        (errors.ConnectionFailedError(SECRET, **AT), 502, "vendor_error", True),
        (BROKEN, 502, "vendor_error", True),
        (all_failed(BROKEN, errors.AuthenticationError(SECRET, status_code=401, **AT)), 502, "vendor_error", False),
        (RuntimeError(SECRET), 500, "internal_error", False),
        (TypeError(SECRET), 500, "internal_error", False),
    ],
)  # fmt: skip
def test_an_error_is_the_one_that_its_kind_is(
    error: Exception, status: int, code: str | None, retry: bool | None
) -> None:
    """What a vendor writes of the server's account is not shown; no client retries what the router has."""
    failure = failure_of(error)
    assert (failure.status, failure.code, failure.retry) == (status, code, retry)
    assert failure.message
    assert SECRET not in failure.message
    assert failure.headers().get("x-should-retry") == (None if retry is None else str(retry).lower())


def test_attempts_are_named_without_the_vendors_words() -> None:
    """By deployment and status, equal ones once."""
    text = failure_of(all_failed(BROKEN, BROKEN, errors.ConnectionFailedError(SECRET, **AT))).message
    assert text == "the vendors failed (first: HTTP 500; first: ConnectionFailedError)"


def test_a_wait_is_rounded_up() -> None:
    """Whole seconds for every client, milliseconds for OpenAI's."""
    headers = failure_of(LIMITED).response().headers
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("2", "1200")
