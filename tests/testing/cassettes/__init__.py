"""Tests of `testing/cassettes/`."""
