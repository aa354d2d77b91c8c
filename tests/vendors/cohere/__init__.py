"""Tests of `vendors/cohere/`."""
