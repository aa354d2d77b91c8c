"""The two drivers, sync and async: they wait, send, and hand bytes to the codecs.

Owns: one attempt's exchange with its vendor, relaying a stream, vendors that run in process, hedge races.
Must not know: which deployment comes next, or whether there is a next attempt: that is `dispatch`.
"""
