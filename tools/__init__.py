"""What keeps the project: the generated pages of the reference."""
