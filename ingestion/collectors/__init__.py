"""Sockets: a thin shell over `ingestion.exchanges`, one module per way of connecting."""
