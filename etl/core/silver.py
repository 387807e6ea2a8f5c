"""Whether silver is whole: bars are made from every trade of it, or not at all. So it is with candles of candles."""

import polars as pl

from etl.core.chains import Chain
from etl.core.outputs import SilverMissing as SilverMissing
from shared.clock import utc_from_us


def require_silver(silver: Chain, first: int) -> None:
    """Make sure that a chain's output holds every row from number `first` on.

    Raises: SilverMissing naming the days of those it does not.
    """
    output, wanted = silver.output, first
    last_us = silver.current.first_us
    for path in output.every_file():
        ordinals = pl.scan_parquet(path, hive_partitioning=False).select(
            low=pl.col(output.order).min(), high=pl.col(output.order).max()
        )
        low, high = ordinals.collect().row(0)
        if low > wanted:
            _missing(silver, wanted, last_us, output.unit_of(path))
        if high >= wanted:
            wanted = high + 1
        last_us = output.unit_of(path)
    if wanted < silver.current.rows_out:
        _missing(silver, wanted, last_us, silver.current.last_us)


def _missing(silver: Chain, first: int, from_us: int, until_us: int) -> None:
    days = sorted({f"{utc_from_us(us):%Y-%m-%d}" for us in (from_us, until_us)})
    output = silver.output
    anew = ", or make silver anew from bronze: `daedalus bars rebuild --silver`" if output.stem == "trades" else ""
    raise SilverMissing(
        f"{'gold' if output.stem == 'candles' else 'silver'} {output.stem} of {output.exchange} {output.symbol} from "
        f"number {first} on are missing, of {' to '.join(days)}",
        hint=f"Bring them back (`daedalus sync --direction down`){anew}",
    )
