"""Client-side rate limits: requests per minute, tokens per minute, concurrent requests.

Owns: token buckets, FIFO queues, permits, rate-limit headers that report zero remaining.
Must not know: health, routing, Redis, the formats of vendors.
"""
