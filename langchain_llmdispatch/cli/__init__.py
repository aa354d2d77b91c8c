"""The command line: one module per command.

Owns: commands, their options, and what a terminal can do to them.
Must not know: how a call is made.
"""
