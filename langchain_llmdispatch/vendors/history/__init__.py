"""Conversation history: any LangChain history compiled for any target.

Owns: the rules of each incompatibility, and the report of each change.
Must not know: a vendor by name; each vendor's class declares its `HistoryRules`.
"""
