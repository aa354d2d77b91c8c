"""The words of final errors."""

from __future__ import annotations

from langchain_llmdispatch import AllDeploymentsFailedError, ConnectionFailedError, ServerError


def _error(cls: type, message: str, deployment: str) -> Exception:
    error: Exception = cls(message, vendor="openai", deployment=deployment)
    return error


def test_what_failed_alike_is_said_once() -> None:
    """Attempts in a row with the same words are a group; numbers are those of the attempts."""
    same = [_error(ConnectionFailedError, "no route", "a") for _ in range(3)]
    error = AllDeploymentsFailedError.of([*same, _error(ServerError, "down", "b")], [])
    assert str(error) == (
        "openai: all 4 attempts failed: 1-3. ConnectionFailedError a: no route; 4. ServerError b: down"
    )


def test_repr_names_the_deployment() -> None:
    """As `str` does: `batch(return_exceptions=True)` and pytest show it."""
    assert repr(_error(ServerError, "down", "b")) == "ServerError('b: down')"


def test_the_status_of_the_last_attempt_is_named_once() -> None:
    """It is the call's status, too, where all attempts share it."""
    error = AllDeploymentsFailedError.of([ServerError("down", deployment="b", status_code=503)], [])
    assert str(error).count("(HTTP 503)") == 1
