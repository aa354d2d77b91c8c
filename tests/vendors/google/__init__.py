"""Tests of `vendors/google/`."""
