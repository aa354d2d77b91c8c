"""Tests of `budgets/`."""
