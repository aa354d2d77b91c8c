"""Tests of `internal/`."""
