"""Injected errors have the vendors' own bodies, which their codecs read."""

from __future__ import annotations

import pytest

from langchain_llmdispatch import (
    AllDeploymentsFailedError,
    errors,
)
from langchain_llmdispatch.testing import (
    Faults,
    assert_attempts,
)
from langchain_llmdispatch.testing.faults.vendor_errors import error_body
from tests.cases import each
from tests.loopback.server import LoopbackServer
from tests.models import VENDORS
from tests.testing.models import deployment, model_of

STATUSES = {
    401: errors.AuthenticationError,
    402: errors.QuotaExceededError,
    403: errors.PermissionDeniedError,
    404: errors.ModelNotFoundError,
    413: errors.RequestTooLargeError,
    422: errors.InvalidRequestError,
    429: errors.RateLimitError,
    500: errors.ServerError,
    503: errors.ServerError,
}


@pytest.mark.parametrize("vendor", VENDORS)
@each("status", STATUSES)
def test_statuses_mean_what_they_mean_to_each_vendor(
    server: LoopbackServer, vendor: str, status: int
) -> None:
    """The injected body is one that the vendor's codec understands."""
    with (
        model_of(deployment(server, vendor), max_attempts=1) as model,
        Faults() as faults,
        pytest.raises(errors.DispatchError) as raised,
    ):
        faults.fail(status=status)
        model.invoke("hello")
    error = getattr(raised.value, "errors", (raised.value,))[0]  # a wrong request ends the call by itself
    assert isinstance(error, STATUSES[status])
    assert "injected" in str(error)
    assert server.requests == []


def test_body_and_code_can_be_given(server: LoopbackServer) -> None:
    """A vendor's own code decides: a quota is not a rate limit."""
    with (
        model_of(deployment(server, "openai")) as model,
        Faults() as faults,
        pytest.raises(AllDeploymentsFailedError) as raised,
    ):
        faults.fail(status=429, code="insufficient_quota")
        model.invoke("hello")
    assert isinstance(raised.value.errors[0], errors.QuotaExceededError)
    assert_attempts(raised.value, exactly=1)
    assert error_body("ollama", 500, message="no") == {"error": "no"}
