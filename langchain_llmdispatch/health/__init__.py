"""Health of deployments: circuit breakers, cooldowns, latency estimates.

Owns: when a deployment may be tried, and how fast it is expected to answer.
Must not know: limits, routing, Redis, the chat model.
"""
