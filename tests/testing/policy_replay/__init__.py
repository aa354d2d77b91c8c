"""Tests of `testing/policy_replay/`."""
