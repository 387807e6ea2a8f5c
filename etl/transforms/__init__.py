"""One transform per channel: compose `etl.features` and `etl.bars` into tables of the lake."""
