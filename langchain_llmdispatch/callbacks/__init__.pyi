from langchain_llmdispatch.callbacks.usage import (
    Usage as Usage,
    UsageCallbackHandler as UsageCallbackHandler,
    get_usage_callback as get_usage_callback,
)
