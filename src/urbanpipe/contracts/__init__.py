"""What packages hand to one another, as files and types."""
