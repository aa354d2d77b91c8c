"""Statistics: every request counted once, and immutable snapshots of the counters.

Owns: counters, latency quantiles, `Stats` and its HTML.
Must not know: how attempts are decided; it only observes them.
"""
