"""LangChain's face: `DispatcherChatModel`, its hooks, and the parts that one call is made of.

Owns: fields and hooks of `BaseChatModel`, freezing a request, run options, structured output, batches.
Must not know: the wire format of any vendor, or how a strategy, a limit or a retry decides.
"""
