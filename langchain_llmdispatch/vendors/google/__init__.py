"""Google's Gemini API.

Owns: requests, answers, streams and errors of that format.
Must not know: other vendors' formats.
"""
