"""What each vendor documents as wrong, one table per wire format."""
