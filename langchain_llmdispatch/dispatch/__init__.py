"""The attempts of one call: order, retry, fallback, hedging, resumption and deadline. Pure.

Owns: the iterator of attempts, a call's state and report, the retry policy, cascades and races.
Must not know: clients, event loops, threads that wait, vendors' formats.
"""
