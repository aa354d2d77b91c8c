"""Cohere's chat API, version 2.

Owns: requests, answers, streams and errors of that format.
Must not know: other vendors' formats.
"""
