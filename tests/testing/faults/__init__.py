"""Tests of `testing/faults/`."""
