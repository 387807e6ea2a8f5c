"""Thin faces of ETL commands."""
