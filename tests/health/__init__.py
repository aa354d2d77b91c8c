"""Tests of `health/`."""
