"""Canaries in every credential, sent to servers that echo them: they reach their vendor, and nothing else."""

from __future__ import annotations

import base64
import logging
import pickle
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain_core.callbacks import BaseCallbackHandler

from langchain_llmdispatch import Deployment, DispatcherChatModel, RetryPolicy, VendorConfig
from langchain_llmdispatch.errors import DispatchError
from langchain_llmdispatch.testing import Cassette, FakeClock
from langchain_llmdispatch.vendors import builtin_vendors
from tests.canaries import found, shown_by
from tests.end_to_end.echoes import INVALID, MODES, SILENT, SPELLINGS, UNREACHED, EchoServer, echoing
from tests.models import COLOURS, MODELS, VENDORS, model_of

KEY, TOKEN = "kAnary/1+Key=aa~1234567", "tAnary/2+Token=bb~123456"
HEADERS = {"x-tenant": "hAnary/3+Neutral=cc~12345", "x-portkey-api-key": "pAnary/4+Named=dd~123456"}
QUERY = {"subscription-key": "qAnary-10-Query~1234567"}
COMMON = {"x-common": "cAnary/5+Commön=ee~12345"}
SENT = (KEY, TOKEN, *HEADERS.values(), *COMMON.values(), *QUERY.values())
FOUR = ("invoke", "stream", "ainvoke", "astream")


@pytest.fixture(scope="module")
def echo() -> Iterator[EchoServer]:
    """Return the server."""
    with echoing() as server:
        yield server


class Listener(BaseCallbackHandler):
    """Keeps everything that callbacks get."""

    def __init__(self) -> None:
        self.payloads: list[tuple[str, str]] = []
        self.errors: list[BaseException] = []

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("on_"):
            return lambda *args, **kwargs: self._keep(name, args, kwargs)
        return super().__getattribute__(name)

    def _keep(self, name: str, args: Any, kwargs: Any) -> None:
        self.payloads.append((name, f"{args!r} {kwargs!r}"))
        self.errors += [each for each in args if isinstance(each, BaseException)]


def deployments(vendor: str, urls: dict[str, str]) -> list[Deployment]:
    """Return deployments with every kind of credential, half of them with a token for each request."""
    return [
        Deployment(
            f"{vendor}:{MODELS[vendor]}",
            name=name,
            base_url=url,
            api_key=key,
            headers=HEADERS,
            query=QUERY,
            timeout=0.03 if name == SILENT else 10,
        )
        for (name, url), key in zip(urls.items(), cycle([KEY, lambda: TOKEN]), strict=False)
    ]


def failing(vendor: str, urls: dict[str, str], **fields: Any) -> DispatcherChatModel:
    """Return a model that tries each deployment once."""
    return model_of(
        *deployments(vendor, urls),
        retry_policy=RetryPolicy(max_retries=0),
        max_attempts=2 * len(urls),
        **{"vendors": {vendor: VendorConfig(headers=COMMON)}, **fields},
    )


def shown_of(model: DispatcherChatModel) -> Iterator[tuple[str, str]]:
    """Yield everything that a model and its parts show."""
    yield from ((name, repr(part)) for name, part in vars(model).items() if name != "env")
    yield "model", f"{model!r} {model} {model.model_dump()} {model._repr_html_()} {model._identifying_params}"
    engine = model._engine
    twin = model
    if isinstance(model.clock, FakeClock):  # which has no pickle
        twin = DispatcherChatModel(models=model.models, vendors=model.vendors, env={})
    for part in (twin, *model.models, *model.vendors.values(), model.get_stats()):
        yield f"{type(part).__name__} pickle", pickle.dumps(part).decode("latin-1")
    for part in (*model.models, *model.vendors.values()):
        yield (
            type(part).__name__,
            f"{part!r} {part} {part.model_dump()} {part.model_dump_json(fallback=repr)}",
        )
    stats, plan = model.get_stats(), model.explain("hello")
    for part in (*engine.registry.all, plan, stats, engine.health, engine.limiter, engine.transport):
        yield type(part).__name__, f"{part!r} {part}"
    yield "html", f"{plan._repr_html_()} {stats._repr_html_()} {stats.to_dict()}"


def leaks_of(
    model: DispatcherChatModel,
    colour: str,
    caplog: pytest.LogCaptureFixture,
    sent: Sequence[str] = SENT,
    **more: Any,
) -> list[str]:
    """Return where canaries are after a call that fails."""
    caplog.set_level(logging.DEBUG)
    caplog.clear()
    listener = Listener()
    bound: Any = model.bind(**more).with_config(callbacks=[listener])
    with pytest.raises(Exception) as raised:  # noqa: PT011 - whatever it is
        COLOURS[colour](bound, "hello")
    logs = [(record.name, f"{record.getMessage()} {record.__dict__}") for record in _logs(caplog)]
    errors = shown_by(raised.value, *listener.errors)
    return found(sent, [*errors, *listener.payloads, *logs, *shown_of(model)])


_OF_OTHERS = ("receive_response_", "send_request_headers.failed", "HTTP Request: ")
"""Logs that are not ours: what servers send, a header that a hook has spoilt, a client's own URL."""


def _logs(caplog: pytest.LogCaptureFixture) -> Iterator[logging.LogRecord]:
    return (record for record in caplog.records if not record.getMessage().startswith(_OF_OTHERS))


@pytest.mark.parametrize("colour", FOUR)
@pytest.mark.parametrize("vendor", VENDORS)
def test_echoes_of_what_was_sent(
    echo: EchoServer, vendor: str, colour: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever part of a response echoes a credential, it is in no error, log, callback, repr or pickle."""
    echo.heads.clear()
    spellings = cycle(SPELLINGS)
    urls = {mode: echo.url(vendor, mode, next(spellings)) for mode in (*MODES, *UNREACHED)}
    with failing(vendor, urls) as model:
        assert leaks_of(model, colour, caplog) == []
    sent = " ".join(echo.heads)
    assert not [mode for mode in MODES if f" /{mode}/" not in sent and mode != SILENT]
    assert not [canary for canary in SENT if canary not in sent]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("vendor", VENDORS)
def test_echoes_in_a_refusal_that_ends_the_call(
    echo: EchoServer, vendor: str, spelling: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A 400 that quotes headers is raised without them."""
    (mode,) = INVALID
    with failing(vendor, {mode: echo.url(vendor, mode, spelling)}) as model:
        assert leaks_of(model, "invoke", caplog) == []


OWN = {
    "headers": {"x-own": "oAnary/6+Header=ff~123"},
    "cookies": {"sid": "oAnary-7+Cookie~1234567"},
    "params": {"code": "oAnary-8+Param~12345678"},
    "auth": ("user", "oAnary/9+Password=gg~12"),
}
ADDED = (
    "oAnary/6+Header=ff~123",
    "oAnary-7+Cookie~1234567",
    "oAnary-8+Param~12345678",
    "oAnary/9+Password=gg~12",
)


def with_own_client(colour: str, urls: dict[str, str], **settings: Any) -> DispatcherChatModel:
    """Return a model with a client of the user's own, in one colour."""
    name, cls = (
        ("http_async_client", httpx.AsyncClient) if colour[0] == "a" else ("http_client", httpx.Client)
    )
    config = VendorConfig(headers=COMMON, **{name: cls(**OWN, **settings)})
    return model_of(
        *deployments("openai", urls),
        vendors={"openai": config},
        retry_policy=RetryPolicy(max_retries=0),
        max_attempts=2 * len(urls),
    )


@pytest.mark.parametrize("colour", FOUR)
def test_echoes_of_what_a_users_own_client_adds(
    echo: EchoServer, colour: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its headers, cookies, parameters and its auth are credentials as well."""
    echo.heads.clear()
    spellings = cycle(SPELLINGS)
    urls = {mode: echo.url("openai", mode, next(spellings)) for mode in (*MODES, *UNREACHED)}
    model = with_own_client(colour, urls)
    assert leaks_of(model, colour, caplog, (*SENT, *ADDED)) == []
    assert not [canary for canary in ADDED[:1] if canary not in " ".join(echo.heads)]


def _quoting(request: httpx.Request) -> None:
    raise RuntimeError(f"cannot sign {request.headers.multi_items()} to {request.url}")


def _refusing(request: httpx.Request) -> None:
    raise httpx.HTTPStatusError(
        f"{request.headers}",
        request=request,
        response=httpx.Response(401, json={"error": str(request.headers)}),
    )


def _spoiling(request: httpx.Request) -> None:
    request.headers["x-spoilt"] = f"{ADDED[0]}\n"


def _noting(request: httpx.Request) -> None:
    error = RuntimeError("cannot sign")
    error.add_note(str(request.headers.multi_items()))
    raise error


def _grouping(request: httpx.Request) -> None:
    inner = KeyError("x-missing")
    inner.add_note(str(request.headers.multi_items()))
    raise ExceptionGroup("cannot sign", [inner])


@pytest.mark.parametrize("hook", [_quoting, _refusing, _spoiling, _noting, _grouping])
@pytest.mark.parametrize("colour", FOUR)
def test_hooks_that_fail(
    echo: EchoServer, colour: str, hook: Callable[[httpx.Request], None], caplog: pytest.LogCaptureFixture
) -> None:
    """What a hook raises about a request, and a header that it spoils, is raised without values."""

    async def ahook(request: httpx.Request) -> None:
        hook(request)

    own = hook if colour[0] != "a" else ahook
    model = with_own_client(colour, {"text": echo.url("openai", "text")}, event_hooks={"request": [own]})
    assert leaks_of(model, colour, caplog, (*SENT, *ADDED)) == []


@pytest.mark.parametrize("colour", ["invoke", "ainvoke"])
def test_cassettes_hold_nothing_that_was_sent(echo: EchoServer, colour: str, tmp_path: Path) -> None:
    """Neither the credentials of deployments and vendors nor what a user's own client adds."""
    path = tmp_path / "echo.yaml"
    modes = ("text", "server", "coded", "odd", "cut", "redirect")
    model = with_own_client(colour, {mode: echo.url("openai", mode, "json") for mode in modes})
    with Cassette(path, mode="rewrite", environment={}), pytest.raises(DispatchError):
        COLOURS[colour](model, "hello")
    assert found((*SENT, *ADDED), [("cassette", path.read_text())]) == []
    assert "hello" in path.read_text()


FORMS = (
    {"Authorization": f"Basic {base64.b64encode(b'user:' + KEY.encode()).decode()}"},
    {"authorization": f"Bearer {TOKEN}"},
    {"Cookie": f"sid={TOKEN}; other={KEY}"},
    {"Ocp-Apim-Subscription-Key": KEY, "x-any": f"{TOKEN}"},
)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("vendor", ["openai", "azure", "anthropic", "google"])
@pytest.mark.parametrize("mode", ["text", "invalid"])
def test_headers_in_place_of_keys(
    echo: EchoServer, vendor: str, mode: str, form: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Gateways take credentials in headers of their own; a name and a password are cut out as one, too."""
    one = Deployment(
        f"{vendor}:{MODELS[vendor]}", base_url=echo.url(vendor, mode), api_key="other", headers=form
    )
    with model_of(one, retry_policy=RetryPolicy(max_retries=0)) as model:
        assert leaks_of(model, "invoke", caplog, (KEY, TOKEN)) == []


@pytest.mark.parametrize("vendor", [name for name in VENDORS if name != "compatible"])
def test_keys_of_the_environment(echo: EchoServer, vendor: str, caplog: pytest.LogCaptureFixture) -> None:
    """A key in a variable is treated as one in a field, also one with whitespace around it."""
    names = builtin_vendors()[vendor].environment.keys
    urls = builtin_vendors()[vendor].environment.urls
    echo.heads.clear()
    env = {names[0]: f" {KEY}\n", urls[0]: echo.url(vendor, "text")}
    with DispatcherChatModel(f"{vendor}:{MODELS[vendor]}", env=env, max_attempts=1) as model:
        assert leaks_of(model, "invoke", caplog, (KEY,)) == []
    assert KEY in echo.heads[0]


TOOL = {"type": "mcp", "server_label": "x", "server_url": "https://mcp.test", "authorization": TOKEN}
SERVER = {"type": "url", "name": "x", "url": "https://mcp.test", "authorization_token": TOKEN}


@pytest.mark.parametrize("mode", ["text", "invalid"])
@pytest.mark.parametrize(
    ("vendor", "words"),
    [
        ("openai", {"tools": [{**TOOL, "headers": {"X-Any": KEY}}]}),
        ("anthropic", {"mcp_servers": [SERVER]}),
    ],
)
def test_tokens_in_parameters(echo: EchoServer, vendor: str, words: dict[str, Any], mode: str) -> None:
    """A vendor that quotes a request with a token for another server gets no token into an error."""
    echo.heads.clear()
    one = Deployment(f"{vendor}:{MODELS[vendor]}", base_url=echo.url(vendor, mode), api_key="other")
    with model_of(one, retry_policy=RetryPolicy(max_retries=0)) as model:
        with pytest.raises(DispatchError) as raised:
            model.invoke("hello", **words)
    assert TOKEN in echo.heads[0]
    # The frames of `invoke` hold the arguments that the caller has written there.
    shown = [each for each in shown_by(raised.value) if "/chat_model" not in each[0]]
    assert found((KEY, TOKEN), shown) == []
