"""Any LangChain chat model as a vendor, which runs in process.

Owns: calling it without callbacks and retries of its own, and reading its answers and errors.
Must not know: HTTP.
"""
