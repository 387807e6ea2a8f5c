"""History: backfill, import and repair of gaps, into the same bronze tables."""
