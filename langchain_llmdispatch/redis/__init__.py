"""Shared state on a Redis server: limits, health and budgets of many processes.

Owns: the Redis client, its Lua scripts, and what happens while the server is lost.
Must not know: vendors, attempts, the chat model.
"""
