"""Features of order books in one call each: what others import."""

from etl.features.structural import extract_structural_features

__all__ = ["extract_structural_features"]
