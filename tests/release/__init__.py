"""What a package index and GitHub read: metadata, workflows, templates."""
