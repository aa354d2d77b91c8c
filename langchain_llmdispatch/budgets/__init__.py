"""Budgets in US dollars: per call, and per period for all models that share one.

Owns: reserving a request's worst-case cost before it is sent, and settling it afterwards.
Must not know: prices of vendors, routing, the chat model.
"""
