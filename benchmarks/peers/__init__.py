"""This package beside its peers: `make bench`; see `__main__.py`."""
