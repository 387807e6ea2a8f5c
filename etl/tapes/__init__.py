"""Tapes: the trades of one stream in their order, a portion at a time, from the lake or from any file."""
