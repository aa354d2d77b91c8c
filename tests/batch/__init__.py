"""Tests of `batch/`."""
