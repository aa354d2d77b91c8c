"""The vendors' batch APIs on the loopback server: jobs whose rows fail, expire, go missing, come in any order."""

from tests.loopback.batches.anthropic import AnthropicBatches
from tests.loopback.batches.base import Batches, BatchPlan, Job
from tests.loopback.batches.google import GoogleBatches
from tests.loopback.batches.mistral import MistralBatches
from tests.loopback.batches.openai import OpenAIBatches
from tests.loopback.batches.xai import XaiBatches

__all__ = [
    "AnthropicBatches",
    "BatchPlan",
    "Batches",
    "GoogleBatches",
    "Job",
    "MistralBatches",
    "OpenAIBatches",
    "XaiBatches",
]
