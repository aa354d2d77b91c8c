"""Tests of `vendors/history/`."""
