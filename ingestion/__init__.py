"""Bytes from an exchange to typed rows, queue, journal and ready files."""
