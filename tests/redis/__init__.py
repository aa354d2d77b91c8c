"""Tests of `redis/`."""
