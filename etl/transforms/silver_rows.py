"""What stands around the features of every silver table: whose rows they are, and their partition."""

import polars as pl


def silver_rows(rows: pl.DataFrame, *, stream: tuple[str, str]) -> pl.DataFrame:
    """Rows that begin with `ordinal` and have a `timestamp`, with the columns of their partition."""
    exchange, symbol = stream
    moment = pl.col("timestamp").dt
    return rows.select(
        "ordinal",
        pl.lit(exchange).alias("exchange"),
        pl.lit(symbol).alias("symbol"),
        pl.exclude("ordinal"),
        moment.year().cast(pl.Int32).alias("year"),
        moment.month().cast(pl.Int32).alias("month"),
        moment.day().cast(pl.Int32).alias("day"),
    )
