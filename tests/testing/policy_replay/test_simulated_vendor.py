"""Simulated vendors keep a vendor's facts and take their bytes from outcomes."""

from __future__ import annotations

import pytest

from langchain_llmdispatch import errors
from langchain_llmdispatch.testing.policy_replay.simulated_vendor import SimulatedOutcome, simulated
from langchain_llmdispatch.types import Call, Endpoint
from langchain_llmdispatch.vendors import builtin_vendors
from tests.cases import each

CALL = Call(model="m", endpoint=Endpoint(base_url="https://simulated.invalid"), messages=())


@each("name", builtin_vendors())
def test_the_twin_has_the_vendors_facts(name: str) -> None:
    """Rules, prices and abilities are the vendor's; the original is not changed."""
    vendor = builtin_vendors()[name]
    twin = simulated(vendor)
    assert isinstance(twin, type(vendor))
    assert (twin.name, twin.listing, twin.history) == (vendor.name, vendor.listing, vendor.history)
    assert twin.encode_request(CALL).url.host == "simulated.invalid"
    outcome = SimulatedOutcome(1.0, input_tokens=3, output_tokens=4)
    message = twin.decode_response(CALL, outcome.body(), {})
    assert message.usage_metadata == {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    assert type(vendor) is type(builtin_vendors()[name])


@pytest.mark.parametrize(
    ("error", "expected"), [("RateLimitError", errors.RateLimitError), ("NoSuchError", errors.ServerError)]
)
def test_outcomes_become_the_errors_of_their_names(error: str, expected: type[errors.VendorError]) -> None:
    """Status, Retry-After and class are the recorded ones; an unknown class is a failed server."""
    twin = simulated(builtin_vendors()["openai"])
    body = SimulatedOutcome(1.0, error=error, status=429).body()
    found = twin.decode_error(CALL, 429, {"retry-after": "8"}, body)
    assert type(found) is expected
    assert (found.status_code, found.retry_after, found.vendor) == (429, 8.0, "openai")


def test_streams_end_with_their_last_line() -> None:
    """The first content comes alone; without the last line a stream is cut."""
    decoder = simulated(builtin_vendors()["openai"]).stream_decoder(CALL, {})
    first = decoder.feed(b'{"begun": true}\n')
    assert [chunk.text for chunk in first] == ["simulated"]
    assert not decoder.finished
    last = decoder.feed(SimulatedOutcome(1.0, output_tokens=4).body())
    assert last[-1].usage_metadata["output_tokens"] == 4
    assert decoder.finished
    cut = simulated(builtin_vendors()["openai"]).stream_decoder(CALL, {})
    cut.feed(b'{"begun": true}\n')
    with pytest.raises(errors.TruncatedStreamError):
        cut.close()
