"""The vendors: one file each and one line here."""
