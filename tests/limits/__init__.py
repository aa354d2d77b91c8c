"""Tests of `limits/`."""
