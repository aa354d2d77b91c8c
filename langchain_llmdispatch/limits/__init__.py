"""Client-side rate limits: requests per minute, tokens per minute, concurrent requests.

Owns: token buckets, FIFO queues, permits, rate-limit headers.
Must not know: health, routing, vendors' formats.
"""
