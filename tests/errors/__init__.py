"""Tests of `errors/`."""
