"""What Google's generateContent refuses."""

import re
from collections.abc import Iterator

from tests.loopback.neutral import JSON, RejectedError, VendorRequest
from tests.loopback.rules.base import Rule, messages, unknown
from tests.loopback.rules.foreign import ANTHROPIC_SIGNATURE, OPENAI_REASONING
from tests.loopback.rules.subsets import GOOGLE, google_json

REFERENCE = "ai.google.dev/api/generate-content"
SCHEMA = "ai.google.dev/api/caching#Schema"
SIGNATURES = "ai.google.dev/gemini-api/docs/thought-signatures"
CALLING = "ai.google.dev/gemini-api/docs/function-calling"
THINKING = "ai.google.dev/gemini-api/docs/thinking"
RECORDED = "recorded answer of generativelanguage.googleapis.com"
FIELDS = frozenset(
    [
        "contents",
        "tools",
        "toolConfig",
        "safetySettings",
        "systemInstruction",
        "generationConfig",
        "cachedContent",
        "model",
        "labels",
        "serviceTier",
        "store",
    ]
)
SETTINGS = frozenset(
    [
        "stopSequences",
        "responseMimeType",
        "responseSchema",
        "responseJsonSchema",
        "responseModalities",
        "candidateCount",
        "maxOutputTokens",
        "temperature",
        "topP",
        "topK",
        "seed",
        "presencePenalty",
        "frequencyPenalty",
        "responseLogprobs",
        "logprobs",
        "enableEnhancedCivicAnswers",
        "speechConfig",
        "thinkingConfig",
        "imageConfig",
        "mediaResolution",
    ]
)
SCHEMA_WORDS = frozenset(
    [
        "type",
        "format",
        "title",
        "description",
        "nullable",
        "enum",
        "maxItems",
        "minItems",
        "properties",
        "required",
        "minProperties",
        "maxProperties",
        "minLength",
        "maxLength",
        "pattern",
        "example",
        "anyOf",
        "propertyOrdering",
        "default",
        "items",
        "minimum",
        "maximum",
    ]
)
TYPES = {"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"}
PART_DATA = {
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
}
NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}")
GENERATION = re.compile(r"gemini-(\d+)")
FIRST_SIGNED = 3
STOP_LIMIT = 5


def thinks(model: str) -> bool:
    """Whether a model signs its function calls."""
    found = GENERATION.search(model)
    return bool(found) and int(found[1]) >= FIRST_SIGNED if found else False


def _no(message: str) -> RejectedError:
    return RejectedError(message)


def _unknown_name(name: str, place: str = "") -> RejectedError:
    where = f" at '{place}'" if place else ""
    return _no(f'Invalid JSON payload received. Unknown name "{name}"{where}: Cannot find field.')


def _field(call: VendorRequest) -> RejectedError | None:
    key = unknown(call, FIELDS)
    if key:
        return _unknown_name(key)
    key = next((key for key in _settings(call) if key not in SETTINGS), None)
    return _unknown_name(key, "generation_config") if key else None


def _settings(call: VendorRequest) -> JSON:
    return call.body.get("generationConfig") or {}


def _contents(call: VendorRequest) -> RejectedError | None:
    if messages(call, "contents"):
        return None
    return _no("* GenerateContentRequest.contents: contents is not specified\n")


def _parts(call: VendorRequest) -> RejectedError | None:
    system = call.body.get("systemInstruction")
    named = [(f"contents[{i}]", content) for i, content in enumerate(messages(call, "contents"))]
    for place, content in [*named, *([("system_instruction", system)] if system else [])]:
        if not content.get("parts"):
            return _no(f"* GenerateContentRequest.{place}.parts: contents.parts must not be empty.\n")
        for i, part in enumerate(content["parts"]):
            if not PART_DATA & part.keys() or (part.get("text") == "" and "thoughtSignature" not in part):
                where = f"GenerateContentRequest.{place}.parts[{i}].data"
                return _no(f"* {where}: required oneof field 'data' must have one initialized field\n")
    return None


def _roles(call: VendorRequest) -> RejectedError | None:
    contents = messages(call, "contents")
    if all(content.get("role", "user") in {"user", "model", "function"} for content in contents):
        return None
    return _no("Please use a valid role: user, model.")


def _turns(call: VendorRequest) -> RejectedError | None:
    previous: JSON = {"role": "user", "parts": []}
    for content in messages(call, "contents"):
        error = _turn(previous, content)
        if error:
            return error
        previous = content
    return None


def _turn(previous: JSON, content: JSON) -> RejectedError | None:
    made, answered = _count(previous, "functionCall"), _count(content, "functionResponse")
    if answered and not made:
        return _no("Please ensure that function response turn comes immediately after a function call turn.")
    if made != answered:
        return _no(
            "Please ensure that the number of function response parts is equal to "
            "the number of function call parts "
            "of the function call turn."
        )
    if _count(content, "functionCall") and previous.get("role") == "model":
        return _no(
            "Please ensure that function call turn comes immediately after a user "
            "turn or after a function response "
            "turn."
        )
    return None


def _count(content: JSON, kind: str) -> int:
    return sum(1 for part in content["parts"] if kind in part)


def _last_call(call: VendorRequest) -> RejectedError | None:
    if not _count(messages(call, "contents")[-1], "functionCall"):
        return None
    return _no("Please ensure that function call turn is followed by a function response turn.")


def _responses(call: VendorRequest) -> RejectedError | None:
    for content in messages(call, "contents"):
        for part in content["parts"]:
            response = part.get("functionResponse")
            if response is not None and not isinstance(response.get("response"), dict):
                return _no(
                    "Invalid value at 'contents.parts.function_response.response' "
                    "(type.googleapis.com/Struct)"
                )
            if response is not None and not response.get("name"):
                return _no(
                    "* GenerateContentRequest.contents.parts.function_response.name: Name cannot be empty.\n"
                )
    return None


def _signed(call: VendorRequest) -> RejectedError | None:
    if not thinks(str(call.model)):
        return None
    for content in _current_loop(messages(call, "contents")):
        calls = [part for part in content["parts"] if "functionCall" in part]
        if calls and not calls[0].get("thoughtSignature"):
            name = calls[0]["functionCall"].get("name")
            return _no(
                "Function call is missing a thought_signature in functionCall parts. "
                "This is required for tools to "
                f"work correctly. Function call `default_api:{name}`."
            )
    return None


def _current_loop(contents: list[JSON]) -> list[JSON]:
    start = 0
    for i, content in enumerate(contents):
        if content.get("role", "user") == "user" and not _count(content, "functionResponse"):
            start = i
    return [content for content in contents[start:] if content.get("role") == "model"]


def _foreign(call: VendorRequest) -> RejectedError | None:
    for content in messages(call, "contents"):
        for part in content["parts"]:
            if part.get("thoughtSignature") in {ANTHROPIC_SIGNATURE, OPENAI_REASONING}:
                return _no("Thought signature is not valid")
    return None


def _schemas(call: VendorRequest) -> Iterator[tuple[str, JSON]]:
    for i, group in enumerate(call.body.get("tools") or ()):
        for j, function in enumerate(group.get("functionDeclarations") or ()):
            for key in ("parameters", "response"):
                if function.get(key):
                    yield f"tools[{i}].function_declarations[{j}].{key}", function[key]
    if _settings(call).get("responseSchema"):
        yield "generation_config.response_schema", _settings(call)["responseSchema"]


def _schema(call: VendorRequest) -> RejectedError | None:
    for place, schema in _schemas(call):
        error = _schema_part(place, schema)
        if error:
            return error
    return None


def _schema_part(place: str, schema: JSON) -> RejectedError | None:
    key = next((key for key in schema if key not in SCHEMA_WORDS), None)
    if key:
        return _unknown_name(key, place)
    kind = schema.get("type")
    if isinstance(kind, list):
        return _no(
            f"Invalid JSON payload received. Unknown name \"type\" at '{place}': "
            "Proto field is not repeating."
        )
    if kind is not None and str(kind).upper() not in TYPES:
        return _no(f"Invalid value at '{place}.type' (type.googleapis.com/google.ai.generativelanguage.Type)")
    if str(kind).upper() == "ARRAY" and not schema.get("items"):
        return _no(f"* GenerateContentRequest.{place}.items: missing field.\n")
    inner = [(f"{place}.properties[{name}]", part) for name, part in (schema.get("properties") or {}).items()]
    inner += [(f"{place}.any_of[{i}]", part) for i, part in enumerate(schema.get("anyOf") or ())]
    inner += [(f"{place}.items", schema["items"])] if schema.get("items") else []
    return next((error for where, part in inner if (error := _schema_part(where, part))), None)


def _json_schema(call: VendorRequest) -> RejectedError | None:
    functions = (f for group in call.body.get("tools") or () for f in group.get("functionDeclarations") or ())
    schemas = [f["parametersJsonSchema"] for f in functions if "parametersJsonSchema" in f]
    if "responseJsonSchema" in _settings(call):
        schemas.append(_settings(call)["responseJsonSchema"])
    text = next((found for schema in schemas if (found := google_json(schema))), None)
    return _no(f"Invalid JSON schema: {text}") if text else None


def _functions(call: VendorRequest) -> RejectedError | None:
    for group in call.body.get("tools") or ():
        for function in group.get("functionDeclarations") or ():
            if not NAME.fullmatch(str(function.get("name") or "")):
                return _no("Invalid function name. Must start with a letter or an underscore.")
            if "parameters" in function and "parametersJsonSchema" in function:
                return _no("parameters and parameters_json_schema are mutually exclusive.")
    return None


def _choice(call: VendorRequest) -> RejectedError | None:
    mode = (call.body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    if mode.get("allowedFunctionNames") and mode.get("mode") not in {"ANY", "VALIDATED"}:
        return _no("Allowed function names should be set only when function calling mode is ANY.")
    if mode.get("mode") == "ANY" and not call.body.get("tools"):
        return _no("Function calling config is set without function_declarations.")
    return None


def _shape(call: VendorRequest) -> RejectedError | None:
    settings = _settings(call)
    mime = settings.get("responseMimeType")
    if ("responseSchema" in settings or "responseJsonSchema" in settings) and mime in {None, "text/plain"}:
        return _no(
            "Only 'application/json' and 'text/x.enum' response mime types are supported with a schema."
        )
    if "responseSchema" in settings and "responseJsonSchema" in settings:
        return _no("response_schema and response_json_schema are mutually exclusive.")
    if mime == "application/json" and call.body.get("tools") and not thinks(str(call.model)):
        return _no("Function calling with a response mime type: 'application/json' is unsupported")
    return None


def _thinking(call: VendorRequest) -> RejectedError | None:
    thinking = _settings(call).get("thinkingConfig") or {}
    budget, level = "thinkingBudget" in thinking, "thinkingLevel" in thinking
    if budget and level:
        return _no("You can only set only one of thinking budget and thinking level.")
    if level and not thinks(str(call.model)):
        return _no("Thinking level is not supported for this model.")
    if budget and "argon" in str(call.model):
        return _no("Thinking budget is not supported for this model. Use thinking_level.")
    return None


def _stops(call: VendorRequest) -> RejectedError | None:
    if len(_settings(call).get("stopSequences") or ()) <= STOP_LIMIT:
        return None
    return _no("* GenerateContentRequest.generation_config.stop_sequences: at most 5 stop sequences.\n")


RULES = (
    Rule("unknown field", RECORDED, _field),
    Rule("contents", REFERENCE, _contents),
    Rule("parts", REFERENCE, _parts),
    Rule("roles", REFERENCE, _roles),
    Rule("tool pairs", CALLING, _turns),
    Rule("last call", CALLING, _last_call),
    Rule("function responses", REFERENCE, _responses),
    Rule("thought signature", SIGNATURES, _signed),
    Rule("foreign signature", SIGNATURES, _foreign),
    Rule("schema words", SCHEMA, _schema),
    Rule("JSON schema", GOOGLE, _json_schema),
    Rule("functions", CALLING, _functions),
    Rule("tool choice", CALLING, _choice),
    Rule("response shape", RECORDED, _shape),
    Rule("thinking", THINKING, _thinking),
    Rule("stop sequences", REFERENCE, _stops),
)
