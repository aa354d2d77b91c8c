"""Data on models: capabilities, profiles, prices.

Owns: the data files, and how a model's name is looked up in them.
Must not know: deployments, requests, vendors' formats.
"""
