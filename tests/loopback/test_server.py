"""The loopback server: every dialect answers and streams, every fault does what its name promises."""

import json
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.cases import each
from tests.loopback import ANSWER, Answer, Fault, LoopbackServer, ToolCall
from tests.loopback.samples import (
    ASK,
    ENDS,
    HEADERS,
    MODELS,
    VENDORS,
    address,
    datas,
    post,
    prompt,
    service,
    streamed,
)

SHORT = httpx.Timeout(60, read=0.03)  # only silence ends it


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    """A fresh server."""
    with LoopbackServer() as started:
        yield started


class TestDialects:
    """Answers and streams."""

    @each("vendor", VENDORS)
    def test_answers(self, server: LoopbackServer, vendor: str) -> None:
        response = post(server, vendor, prompt(vendor, "Say hi"))
        assert response.status_code == 200, response.text
        assert "You said: Say hi" in response.text
        assert MODELS[vendor] in response.text or vendor == "cohere"

    @each("vendor", VENDORS)
    def test_streams_in_pieces_up_to_its_end_marker(self, server: LoopbackServer, vendor: str) -> None:
        response = streamed(server, vendor)
        assert response.status_code == 200, response.text
        assert ENDS[vendor] in response.text
        assert len(datas(response)) >= 4

    @each("vendor", VENDORS)
    def test_calls_the_tool(self, server: LoopbackServer, vendor: str) -> None:
        whole = post(server, vendor, prompt(vendor, ASK, tool=True)).text
        parts = streamed(server, vendor, ASK, tool=True).text
        assert "magic_function" in whole
        assert "magic_function" in parts
        assert "3}" in whole.replace("\\", "").replace(" ", "")

    @each("vendor", VENDORS)
    def test_same_request_same_answer(self, vendor: str) -> None:
        answers = []
        for _ in range(2):
            with LoopbackServer() as server:
                answers.append(streamed(server, vendor, ASK, tool=True).text)
        assert answers[0] == answers[1]

    @each("vendor", VENDORS)
    def test_reported_usage_is_counted(self, server: LoopbackServer, vendor: str) -> None:
        post(server, vendor, prompt(vendor, "Say hi"))
        streamed(server, vendor, "Say hi")
        totals = server.usage()[service(vendor)]
        assert totals.requests == 2
        assert totals.input_tokens > 0
        assert totals.input_tokens % 2 == 0
        assert totals.output_tokens % 2 == 0

    def test_anthropic_pings_after_the_first_block_has_started(self, server: LoopbackServer) -> None:
        kinds = [data["type"] for data in datas(streamed(server, "anthropic"))]
        assert kinds[:3] == ["message_start", "content_block_start", "ping"]

    def test_anthropic_thinks_with_a_signature(self, server: LoopbackServer) -> None:
        body = prompt("anthropic", "Hello", stream=True) | {
            "thinking": {"type": "enabled", "budget_tokens": 500}
        }
        deltas = [
            data["delta"]["type"]
            for data in datas(post(server, "anthropic", body))
            if "index" in data and "delta" in data
        ]
        assert deltas.index("signature_delta") < deltas.index("text_delta")
        assert deltas[0] == "thinking_delta"

    def test_azure_begins_with_a_chunk_without_choices(self, server: LoopbackServer) -> None:
        first = datas(streamed(server, "azure"))[0]
        assert (first["choices"], first["id"], first["created"]) == ([], "", 0)

    def test_google_ends_lines_with_crlf_and_repeats_its_usage(self, server: LoopbackServer) -> None:
        response = streamed(server, "google")
        assert response.text.count("\r\n\r\n") == len(datas(response))
        counts = [data["usageMetadata"]["candidatesTokenCount"] for data in datas(response)]
        assert counts == sorted(counts)

    def test_google_streams_an_array_without_sse(self, server: LoopbackServer) -> None:
        url = server.base_url("google") + "/v1beta/models/gemini-3.8-flash:streamGenerateContent"
        response = httpx.post(url, json=prompt("google", "Hello"), headers=HEADERS["google"])
        assert response.headers["content-type"].startswith("application/json")
        assert response.json()[-1]["candidates"][0]["finishReason"] == "STOP"

    def test_google_signs_its_first_call_only(self, server: LoopbackServer) -> None:
        response = post(server, "google", prompt("google", f"{ASK} In parallel.", tool=True))
        parts = response.json()["candidates"][0]["content"]["parts"]
        assert ["thoughtSignature" in part for part in parts] == [True, False]

    def test_ollama_streams_unless_switched_off(self, server: LoopbackServer) -> None:
        body = prompt("ollama", "Hello")
        del body["stream"]
        response = httpx.post(address(server, "ollama"), json=body)
        assert response.headers["content-type"] == "application/x-ndjson"
        assert httpx.get(server.base_url("ollama") + "/api/tags").json()["models"]

    def test_azure_speaks_the_versionless_address_too(self, server: LoopbackServer) -> None:
        url = server.base_url("azure") + "/openai/v1/chat/completions"
        response = httpx.post(url, json=prompt("azure", "Hello"), headers={"authorization": "Bearer entra"})
        assert response.json()["choices"][0]["finish_reason"] == "stop"


class TestBrain:
    """The answers of the pretended model."""

    def test_length_and_stop(self, server: LoopbackServer) -> None:
        cut = post(server, "openai", prompt("openai", "Hello") | {"max_tokens": 2}).json()["choices"][0]
        assert (cut["finish_reason"], cut["message"]["content"]) == ("length", "Hello! You")
        body = prompt("anthropic", "Hello") | {"stop_sequences": ["said"]}
        stopped = post(server, "anthropic", body).json()
        assert (stopped["stop_reason"], stopped["stop_sequence"]) == ("stop_sequence", "said")
        assert stopped["content"][0]["text"] == "Hello! You "

    def test_two_cities_are_two_calls(self, server: LoopbackServer) -> None:
        body = prompt("openai", "What is the weather in Paris and Berlin?", tool=True)
        body["tools"][0]["function"]["parameters"] = {
            "type": "object",
            "properties": {"city": {"type": "string"}},
        }
        calls = post(server, "openai", body).json()["choices"][0]["message"]["tool_calls"]
        assert [call["function"]["arguments"] for call in calls] == ['{"city":"Paris"}', '{"city":"Berlin"}']
        body["parallel_tool_calls"] = False
        assert len(post(server, "openai", body).json()["choices"][0]["message"]["tool_calls"]) == 1

    def test_json_follows_the_schema(self, server: LoopbackServer) -> None:
        schema = {
            "type": "object",
            "properties": {
                "mood": {"enum": ["sad", "glad"]},
                "who": {"$ref": "#/$defs/who"},
                "age": {"anyOf": [{"type": "null"}, {"type": "integer"}]},
            },
            "$defs": {"who": {"type": "object", "properties": {"name": {"type": "string"}}}},
        }
        shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        body = prompt("openai", "A glad person of 42 named 'Ünï'") | {"response_format": shape}
        content = post(server, "openai", body).json()["choices"][0]["message"]["content"]
        assert json.loads(content) == {"mood": "glad", "who": {"name": "Ünï"}, "age": 42}

    def test_a_tool_result_is_answered_with_text(self, server: LoopbackServer) -> None:
        body = prompt("openai", ASK, tool=True)
        call = {"id": "c1", "type": "function", "function": {"name": "magic_function", "arguments": "{}"}}
        body["messages"] += [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "five"},
        ]
        assert "five" in post(server, "openai", body).json()["choices"][0]["message"]["content"]

    def test_long_prompts_are_cached(self, server: LoopbackServer) -> None:
        usage = post(server, "openai", prompt("openai", "word " * 1000)).json()["usage"]
        assert 0 < usage["prompt_tokens_details"]["cached_tokens"] <= usage["prompt_tokens"]


class TestFaults:
    """What goes wrong on demand."""

    def test_steps_are_taken_in_order_by_account(self, server: LoopbackServer) -> None:
        server.script("openai", [Fault(status=429, headers={"retry-after": "2"}), ANSWER, Answer("Bye")], "b")
        body = prompt("openai", "Hello")
        assert post(server, "openai", body).status_code == 200
        answers = [post(server, "openai", body, account="b") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [429, 200, 200, 200]
        assert answers[0].headers["retry-after"] == "2"
        assert answers[2].json()["choices"][0]["message"]["content"] == "Bye"
        assert server.usage()["openai@b"].requests == 4
        assert server.pending("openai", "b") == 0

    def test_the_last_step_repeats(self, server: LoopbackServer) -> None:
        server.script("cohere", [Fault.error("overloaded")], repeat=True)
        assert {post(server, "cohere", prompt("cohere", "Hi")).status_code for _ in range(3)} == {503}
        server.clear()
        assert post(server, "cohere", prompt("cohere", "Hi")).status_code == 200

    @pytest.mark.parametrize("vendor", VENDORS)
    @each(
        "kind",
        [
            "rate_limit",
            "quota",
            "overloaded",
            "server_error",
            "auth",
            "permission",
            "not_found",
            "context_overflow",
            "content_filter",
            "invalid_request",
        ],
    )
    def test_every_kind_of_error_has_every_vendors_form(
        self, server: LoopbackServer, vendor: str, kind: str
    ) -> None:
        server.script(service(vendor), [Fault.error(kind)])
        response = streamed(server, vendor)
        assert response.status_code >= 400
        assert isinstance(response.json().get("error", response.json().get("message")), (dict, str))

    @each("vendor", VENDORS)
    def test_cut_streams_break(self, server: LoopbackServer, vendor: str) -> None:
        server.script(
            service(vendor),
            [Fault.cut(after_events=2), Fault.cut(after_bytes=30), Fault.cut(after_events=2, clean=True)],
        )
        for _ in range(2):
            with pytest.raises(httpx.RemoteProtocolError):
                streamed(server, vendor)
        assert ENDS[vendor] not in streamed(server, vendor).text
        assert ENDS[vendor] in streamed(server, vendor).text

    @each("vendor", VENDORS)
    def test_end_markers_can_be_missing(self, server: LoopbackServer, vendor: str) -> None:
        server.script(service(vendor), [Fault.no_end_marker()])
        response = streamed(server, vendor)
        assert response.status_code == 200
        assert ENDS[vendor] not in response.text

    def test_only_the_done_line_can_be_missing(self, server: LoopbackServer) -> None:
        server.script("openai", [Fault.without("done"), Fault.without("usage")])
        text = streamed(server, "openai").text
        assert ("[DONE]" not in text, '"finish_reason":"stop"' in text) == (True, True)
        assert datas(streamed(server, "openai"))[-1]["choices"]

    @each("vendor", VENDORS)
    def test_stalls_end_with_the_client_or_the_server(self, vendor: str) -> None:
        with LoopbackServer() as server:
            server.script(service(vendor), [Fault.stall(after_events=1), Fault.stall()])
            body = prompt(vendor, "Hello", stream=True)
            with pytest.raises(httpx.ReadTimeout):
                post(server, vendor, body, timeout=SHORT, stream=True)
            with pytest.raises(httpx.ReadTimeout):
                post(server, vendor, prompt(vendor, "Hello"), timeout=SHORT)
            assert post(server, vendor, body, stream=True).status_code == 200

    def test_waits(self, server: LoopbackServer) -> None:
        waits = [Fault.slow_head(0.02), Fault.slow_first(0.02), Fault.pace(0.003)]
        server.script("openai", waits)
        for _ in waits:
            began = time.monotonic()
            assert "[DONE]" in streamed(server, "openai").text
            assert time.monotonic() - began >= 0.015

    @each("vendor", VENDORS)
    def test_malformed(self, server: LoopbackServer, vendor: str) -> None:
        server.script(service(vendor), [Fault.malformed(after_events=1)] * 2)
        with pytest.raises(json.JSONDecodeError):
            datas(streamed(server, vendor))
        with pytest.raises(json.JSONDecodeError):
            post(server, vendor, prompt(vendor, "Hello")).json()

    @each("vendor", VENDORS)
    def test_in_band_errors_come_with_status_200(self, server: LoopbackServer, vendor: str) -> None:
        server.script(service(vendor), [Fault.in_band_error("overloaded", after_events=2)] * 2)
        response = streamed(server, vendor)
        assert response.status_code == 200
        assert ("error" in response.text.lower(), len(datas(response))) == (True, 3)
        assert post(server, vendor, prompt(vendor, "Hello")).status_code == 200

    def test_resets(self, server: LoopbackServer) -> None:
        server.script("openai", [Fault.reset(), Fault.reset(after_events=1)])
        for _ in range(2):
            with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
                streamed(server, "openai")

    @each("vendor", VENDORS)
    def test_empty_answers_are_proper(self, server: LoopbackServer, vendor: str) -> None:
        server.script(service(vendor), [Fault.empty_answer()] * 2)
        assert post(server, vendor, prompt(vendor, "Hello")).status_code == 200
        response = streamed(server, vendor)
        assert ENDS[vendor] in response.text
        assert "Hello" not in response.text
        assert server.usage()[service(vendor)].output_tokens == 0

    @each("vendor", VENDORS)
    def test_keepalives_precede_the_answer(self, server: LoopbackServer, vendor: str) -> None:
        server.script(service(vendor), [Fault.keepalives(3), Fault.keepalives(3)])
        assert ENDS[vendor] in streamed(server, vendor).text
        assert post(server, vendor, prompt(vendor, "Hello")).json()

    @pytest.mark.parametrize("vendor", VENDORS)
    def test_pieces_are_as_small_as_set(self, server: LoopbackServer, vendor: str) -> None:
        whole = streamed(server, vendor, "Grüße, 世界 🌍").text
        server.clear()
        server.script(service(vendor), [Fault.drip(1), Fault.chop(7)])
        assert streamed(server, vendor, "Grüße, 世界 🌍").text == whole
        headers = HEADERS.get(vendor, {"authorization": "Bearer k"})
        body = prompt(vendor, "Grüße, 世界 🌍", stream=True)
        url = address(server, vendor, stream=True)
        with httpx.stream("POST", url, json=body, headers=headers) as response:
            sizes = [len(piece) for piece in response.iter_raw()]
        assert max(sizes) <= 40
        assert len(set(sizes)) > 5

    def test_a_server_can_chop_everything(self) -> None:
        with LoopbackServer(chop_seed=1) as server:
            assert ENDS["cohere"] in streamed(server, "cohere").text

    def test_answers_can_be_scripted(self, server: LoopbackServer) -> None:
        broken = Answer(tool_calls=[ToolCall("magic_function", '{"inp', id="abc")], finish="length")
        server.script("openai", [broken, (Answer("One two three"), Fault.drip(2))])
        choice = post(server, "openai", prompt("openai", ASK, tool=True)).json()["choices"][0]
        assert choice["finish_reason"] == "length"
        assert choice["message"]["tool_calls"][0]["function"]["arguments"] == '{"inp'
        assert "three" in streamed(server, "openai").text

    def test_bodies_of_any_kind(self, server: LoopbackServer) -> None:
        server.script(
            "openai",
            [Fault(status=503, body="upstream"), Fault(status=529), Fault(status=400, body={"a": 1})],
        )
        answers = [post(server, "openai", prompt("openai", "Hello")) for _ in range(3)]
        assert (answers[0].text, answers[0].headers["content-type"]) == ("upstream", "text/plain")
        assert (answers[1].status_code, answers[1].json()["error"]["code"]) == (529, "server_is_overloaded")
        assert answers[2].json() == {"a": 1}


class TestServer:
    """Connections and records."""

    def test_connections_are_kept(self, server: LoopbackServer) -> None:
        with httpx.Client(headers={"authorization": "Bearer k"}) as client:
            for _ in range(3):
                client.post(address(server, "openai"), json=prompt("openai", "Hello"))
        assert server.accepted_connections == 1

    def test_requests_are_recorded(self, server: LoopbackServer) -> None:
        post(server, "azure", prompt("azure", "Hello"), account="west")
        (received,) = server.requests_to("azure", "west")
        assert received.headers["api-key"] == "k"
        assert received.query == {"api-version": "2024-10-21"}
        assert received.body["messages"][0]["content"] == "Hello"
        assert (received.status, received.rejected, received.stream) == (200, None, False)

    def test_unknown_addresses_are_not_found(self, server: LoopbackServer) -> None:
        assert httpx.post(server.base_url("anthropic") + "/v1/nothing", json={}).status_code == 404

    async def test_async_clients(self, server: LoopbackServer) -> None:
        async with httpx.AsyncClient(headers={"authorization": "Bearer k"}) as client:
            response = await client.post(address(server, "cohere"), json=prompt("cohere", "Hello"))
        assert response.status_code == 200
