"""Fault injection at the transport: statuses, stalls, cuts, malformed bodies.

Owns: the kinds of faults, and each vendor's error bodies.
Must not know: routing or retries.
"""
