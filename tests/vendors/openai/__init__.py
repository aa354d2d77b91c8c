"""Tests of `vendors/openai/`."""
