"""Tests of `vendors/compile/`."""
