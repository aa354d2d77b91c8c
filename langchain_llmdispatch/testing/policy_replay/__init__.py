"""Replay of policies: what another configuration would have done with recorded calls.

Owns: the journal of calls, the simulation in virtual time, its report.
Must not know: cassettes' matching, faults.
"""
