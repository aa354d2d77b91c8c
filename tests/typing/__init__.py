"""Users' calls under type checkers."""
