"""Tests of `vendors/ollama/`."""
