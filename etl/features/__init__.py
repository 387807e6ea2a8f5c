"""Pure features, one family per file."""
