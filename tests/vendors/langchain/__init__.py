"""Tests of `vendors/langchain/`."""
