"""Cassettes: recorded exchanges with vendors, and their replay without a network.

Owns: the file format, matching, scrubbing of secrets, the bridge to vcrpy.
Must not know: routing or retries.
"""
