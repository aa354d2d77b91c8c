"""What Azure refuses besides what OpenAI refuses."""

from tests.loopback.neutral import RejectedError, VendorRequest
from tests.loopback.rules import openai
from tests.loopback.rules.base import Rule

VERSIONS = "learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle"


def _version(call: VendorRequest) -> RejectedError | None:
    if "/deployments/" in call.path and not call.query.get("api-version"):
        return RejectedError("Resource not found", kind="not_found", code="404")
    return None


CHAT_RULES = (Rule("api-version", VERSIONS, _version), *openai.CHAT_RULES)
