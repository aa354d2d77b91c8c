"""OpenAI's formats: chat completions and Responses, and the vendors that speak them.

Owns: OpenAI, Azure OpenAI, Hugging Face, any compatible server, the local model.
Must not know: other vendors' formats.
"""
