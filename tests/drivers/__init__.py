"""Tests of `drivers/`."""
