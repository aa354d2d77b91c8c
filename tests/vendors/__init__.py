"""Tests of `vendors/`."""
