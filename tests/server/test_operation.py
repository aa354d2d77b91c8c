"""Health and figures, as load balancers and Prometheus read them."""

from __future__ import annotations

import httpx
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from langchain_llmdispatch import DispatcherChatModel
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import deployment
from tests.server.running import running

BODY = {"model": "default", "messages": [{"role": "user", "content": "hi"}]}


def test_figures_are_those_that_prometheus_reads(server: LoopbackServer) -> None:
    """Its own parser reads them all; each call is counted once."""
    model = DispatcherChatModel(models=[deployment(server, "openai")], env={})
    with running(model) as url, httpx.Client() as client:
        client.post(f"{url}/chat/completions", json=BODY)
        answer = client.get(url.replace("/v1", "/metrics"))
    read = openmetrics if "openmetrics" in answer.headers["content-type"] else text_string_to_metric_families
    families = {family.name: family for family in read(answer.text)}
    (counted,) = (
        sample
        for sample in families["llmdispatch_requests"].samples
        if sample.name == "llmdispatch_requests_total"
    )
    assert (counted.labels["deployment"], counted.value) == ("openai", 1)
    assert answer.headers["content-type"].startswith("text/plain; version=")


def test_a_server_without_a_vendor_gets_no_traffic(server: LoopbackServer) -> None:
    """It is not ready, but alive: a restart repairs no vendor."""
    server.script("openai", [Fault(status=401)], repeat=True)
    model = DispatcherChatModel(models=[deployment(server, "openai")], env={}, max_retries=0)
    with running(model) as url, httpx.Client(base_url=url.removesuffix("v1")) as client:
        assert client.get("readyz").json() == {"status": "ok", "vendors": {"openai": True}}
        first = client.post("v1/chat/completions", json=BODY)
        states = {name: client.get(name) for name in ("livez", "readyz", "healthz")}
        again = client.post("v1/chat/completions", json=BODY)
    assert {name: answer.status_code for name, answer in states.items()} == {
        "livez": 200,
        "readyz": 503,
        "healthz": 503,
    }
    assert states["readyz"].json() == {"status": "unavailable", "vendors": {"openai": False}}
    assert (first.status_code, again.status_code) == (502, 502)
