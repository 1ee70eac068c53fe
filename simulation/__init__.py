"""Yesterday's calls under tomorrow's policy."""
