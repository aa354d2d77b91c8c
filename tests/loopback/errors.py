"""The vendors' own error answers, by kind."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.loopback.neutral import JSON, RejectedError, Reply, compact

KIND_BY_STATUS = {
    400: "invalid_request",
    401: "auth",
    403: "permission",
    404: "not_found",
    429: "rate_limit",
    503: "overloaded",
    529: "overloaded",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """How one vendor reports one kind of error."""

    status: int
    message: str
    type: str = ""
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


IR = "invalid_request_error"
OPENAI = {
    "invalid_request": Shape(400, "Invalid request.", IR),
    "auth": Shape(
        401,
        "Incorrect API key provided: ********. You can find your API key at the platform.",
        IR,
        "invalid_api_key",
    ),
    "permission": Shape(403, "You are not allowed to use this model.", IR, "model_not_allowed"),
    "not_found": Shape(
        404, "The model `x` does not exist or you do not have access to it.", IR, "model_not_found"
    ),
    "rate_limit": Shape(
        429,
        "Rate limit reached for requests per min (RPM): Limit 3, Used 3, "
        "Requested 1. Please try again in 20ms.",
        "requests",
        "rate_limit_exceeded",
        {"retry-after-ms": "20", "retry-after": "1"},
    ),
    "quota": Shape(
        429,
        "You exceeded your current quota, please check your plan and billing details.",
        "insufficient_quota",
        "insufficient_quota",
    ),
    "overloaded": Shape(
        503, "The server is overloaded or not ready yet.", "service_unavailable_error", "server_is_overloaded"
    ),
    "server_error": Shape(
        500, "The server had an error while processing your request. Sorry about that!", "server_error"
    ),
    "context_overflow": Shape(
        400,
        "This model's maximum context length is 128000 tokens. However, your "
        "messages resulted in 150008 tokens. "
        "Please reduce the length of the messages.",
        IR,
        "context_length_exceeded",
    ),
    "content_filter": Shape(
        400, "Your request was rejected by our safety system.", IR, "content_policy_violation"
    ),
}
AZURE = {
    **OPENAI,
    "auth": Shape(
        401,
        "Access denied due to invalid subscription key or wrong API endpoint. "
        "Make sure to provide a valid key for an "
        "active subscription and use a correct regional API endpoint for your resource.",
        "",
        "401",
    ),
    "not_found": Shape(404, "The API deployment for this resource does not exist.", "", "DeploymentNotFound"),
    "permission": Shape(403, "Public access is disabled.", "", "403"),
    "rate_limit": Shape(
        429,
        "Your requests have exceeded the call rate limit of your current "
        "pricing tier. Please retry after 1 second.",
        "",
        "429",
        {"retry-after": "1", "retry-after-ms": "20"},
    ),
    "content_filter": Shape(
        400,
        "The response was filtered due to the prompt triggering the content management policy.",
        "",
        "content_filter",
    ),
}
ANTHROPIC = {
    "invalid_request": Shape(400, "Invalid request.", IR),
    "auth": Shape(401, "invalid x-api-key", "authentication_error"),
    "permission": Shape(
        403, "Your API key does not have permission to use the specified resource.", "permission_error"
    ),
    "not_found": Shape(404, "model: x", "not_found_error"),
    "rate_limit": Shape(
        429,
        "This request would exceed the rate limit for your organization of 50,000 input tokens per minute.",
        "rate_limit_error",
        headers={"retry-after": "1", "x-should-retry": "true"},
    ),
    "quota": Shape(
        400,
        "Your credit balance is too low to access the Anthropic API. Please go "
        "to Plans & Billing to upgrade or "
        "purchase credits.",
        IR,
        headers={"x-should-retry": "false"},
    ),
    "overloaded": Shape(529, "Overloaded", "overloaded_error", headers={"x-should-retry": "true"}),
    "server_error": Shape(500, "Internal server error", "api_error"),
    "context_overflow": Shape(400, "prompt is too long: 208310 tokens > 200000 maximum", IR),
    "content_filter": Shape(400, "Output blocked by content filtering policy", IR),
}
GOOGLE = {
    "invalid_request": Shape(400, "Request contains an invalid argument.", "INVALID_ARGUMENT"),
    "auth": Shape(
        400, "API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT", "API_KEY_INVALID"
    ),
    "permission": Shape(403, "Your project has been denied access.", "PERMISSION_DENIED"),
    "not_found": Shape(404, "models/x is not found for API version v1beta.", "NOT_FOUND"),
    "rate_limit": Shape(
        429, "You exceeded your current quota. Please retry in 0.02s.", "RESOURCE_EXHAUSTED", "PerMinute"
    ),
    "quota": Shape(429, "You exceeded your current quota.", "RESOURCE_EXHAUSTED", "PerDay"),
    "overloaded": Shape(503, "The model is overloaded. Please try again later.", "UNAVAILABLE"),
    "server_error": Shape(500, "An internal error has occurred.", "INTERNAL"),
    "context_overflow": Shape(
        400,
        "The input token count exceeds the maximum number of tokens allowed (1048576).",
        "INVALID_ARGUMENT",
    ),
    "content_filter": Shape(400, "The prompt was blocked.", "FAILED_PRECONDITION"),
}
COHERE = {
    "invalid_request": Shape(400, "invalid request."),
    "unknown_field": Shape(422, "unknown field."),
    "auth": Shape(401, "invalid api token"),
    "permission": Shape(403, "you do not have access to this model"),
    "not_found": Shape(404, "model 'x' not found, make sure the correct model ID was used"),
    "rate_limit": Shape(429, "You are past the per minute request limit, please wait and try again later."),
    "quota": Shape(402, "Please add or update your payment method to continue using the API."),
    "overloaded": Shape(503, "service unavailable"),
    "server_error": Shape(500, "internal server error"),
    "context_overflow": Shape(
        400,
        "too many tokens: size limit exceeded by 19296 tokens. Try using shorter or fewer inputs. "
        "The limit for this model is 132000 tokens.",
        "TOO_MANY_TOKENS",
    ),
    "content_filter": Shape(400, "the request was blocked by the safety mode"),
}
HUGGINGFACE = {
    **OPENAI,
    "auth": Shape(401, "Invalid username or password."),
    "quota": Shape(402, "You have exceeded your monthly included credits for Inference Providers."),
    "rate_limit": Shape(
        429,
        "Too many requests. Please retry later.",
        headers={"ratelimit": '"api";r=0;t=1', "retry-after": "1"},
    ),
    "overloaded": Shape(503, "overloaded"),
}
OLLAMA = {
    "invalid_request": Shape(400, "invalid request"),
    "auth": Shape(401, "unauthorized"),
    "permission": Shape(403, "this model requires a subscription"),
    "not_found": Shape(404, "model 'x' not found"),
    "rate_limit": Shape(429, "too many concurrent requests"),
    "quota": Shape(402, "you have reached your usage limit"),
    "overloaded": Shape(503, "server busy, please try again. maximum pending requests exceeded"),
    "server_error": Shape(500, "model runner has unexpectedly stopped"),
    "context_overflow": Shape(400, "prompt too long; exceeded max context length by 1119046 tokens"),
    "content_filter": Shape(400, "the request was blocked"),
}
SHAPES = {
    "openai": OPENAI,
    "compatible": OPENAI,
    "mistralai": OPENAI,
    "xai": OPENAI,
    "azure": AZURE,
    "anthropic": ANTHROPIC,
    "google": GOOGLE,
    "cohere": COHERE,
    "huggingface": HUGGINGFACE,
    "ollama": OLLAMA,
}
FILTERED = {
    "hate": {"filtered": False, "severity": "safe"},
    "jailbreak": {"detected": True, "filtered": True},
    "self_harm": {"filtered": False, "severity": "safe"},
    "sexual": {"filtered": False, "severity": "safe"},
    "violence": {"filtered": False, "severity": "safe"},
}


def body(vendor: str, error: RejectedError, ident: str) -> JSON:
    """The vendor's JSON for an error."""
    shape = SHAPES[vendor][error.kind]
    message = error.message or shape.message
    if vendor == "anthropic":
        inner = {"type": shape.type, "message": message}
        return {"type": "error", "error": inner, "request_id": f"req_{ident}"}
    if vendor == "google":
        return {"error": _google(shape, message)}
    if vendor == "cohere":
        kind = {"error_type": shape.type} if shape.type else {}
        return {"id": ident, "message": message, **kind}
    if vendor == "ollama" or (vendor == "huggingface" and not shape.type):
        return {"error": message}
    if vendor == "azure" and not shape.type:
        return {"error": _azure(shape, message, error)}
    code = error.code or shape.code
    return {"error": {"message": message, "type": shape.type, "param": error.param, "code": code}}


def reply(vendor: str, error: RejectedError, ident: str, *, stream: bool = False) -> Reply:
    """The vendor's whole answer for an error."""
    shape = SHAPES[vendor][error.kind]
    content_type = "text/event-stream" if vendor == "google" and stream else "application/json"
    headers = {"content-type": content_type, **shape.headers}
    return Reply(shape.status, compact(body(vendor, error, ident)).encode(), headers)


def _google(shape: Shape, message: str) -> JSON:
    error: JSON = {"code": shape.status, "message": message, "status": shape.type}
    domain = "type.googleapis.com/google.rpc."
    if shape.code == "API_KEY_INVALID":
        error["details"] = [
            {"@type": f"{domain}ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"},
            {"@type": f"{domain}LocalizedMessage", "locale": "en-US", "message": message},
        ]
    elif shape.code:
        quota = f"GenerateRequests{shape.code}PerProjectPerModel"
        error["details"] = [{"@type": f"{domain}QuotaFailure", "violations": [{"quotaId": quota}]}]
        if shape.code == "PerMinute":
            error["details"].append({"@type": f"{domain}RetryInfo", "retryDelay": "0.02s"})
    return error


def _azure(shape: Shape, message: str, error: RejectedError) -> JSON:
    if error.kind != "content_filter":
        return {"code": shape.code, "message": message}
    inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": FILTERED}
    return {
        "message": message,
        "type": None,
        "param": "prompt",
        "code": shape.code,
        "status": 400,
        "innererror": inner,
    }
