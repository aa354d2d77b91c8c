"""Tests of `notebook/`."""
