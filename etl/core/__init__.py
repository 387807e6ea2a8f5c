"""The transform contract and what runs it."""
