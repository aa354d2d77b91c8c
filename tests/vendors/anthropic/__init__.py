"""Tests of `vendors/anthropic/`."""
