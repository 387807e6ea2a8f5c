"""Features of order books in one call each: what others import."""

from etl.features.rolling import compute_rolling_features
from etl.features.structural import extract_structural_features

__all__ = ["compute_rolling_features", "extract_structural_features"]
