"""Where files live: the log of published names, the lake's planner, and later S3, sync and compaction."""
