"""Checks of the codecs against exchanges that others recorded with the real vendors."""
