"""Tests of `chat_model/`."""
