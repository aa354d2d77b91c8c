"""The attempts of one call: order, retry, fallback, hedging, resumption and deadline. Pure.

Owns: the iterator of attempts, the state of a call, the retry policy, cascades and races, the report of a call.
Must not know: clients, event loops, threads that wait, vendors' formats.
"""
