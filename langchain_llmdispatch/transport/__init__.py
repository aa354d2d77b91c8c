"""Connections: the HTTP clients, their pools, and deadlines on each read.

Owns: every `httpx` client, middleware around them, and what rides on httpcore.
Must not know: vendors, attempts, retries.
"""
