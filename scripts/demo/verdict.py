"""Was anything lost? A pure comparison of what the exchange made with what is stored, trade by trade."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext

import polars as pl

_KEY = ["exchange", "symbol"]
_TRADE = [*_KEY, "trade_id"]
_FIELDS = ["timestamp", "price", "amount", "side"]
_DIGITS = 100  # more than any sum of a demo needs
_NAMED_MAX = 3


@dataclass(frozen=True)
class Evidence:
    """What was sent and what is stored. Trades have an id, a time, price, amount and the taker's side."""

    sent: pl.DataFrame  # what the exchange made, by its own log
    bronze: pl.DataFrame  # with epoch, seq, capture_ts; every copy
    gaps: pl.DataFrame  # of trades, the latest revision of each
    silver: pl.DataFrame  # with price_text, amount_text
    bars: pl.DataFrame
    bar_sets: tuple[tuple[str, str, str], ...]  # (bar_set, exchange, symbol) that the settings ask for


@dataclass(frozen=True, kw_only=True)
class StreamVerdict:
    """One symbol of one exchange; the tuples name trade ids."""

    exchange: str
    symbol: str
    sent: int
    bronze: int  # distinct trades
    copies: int  # rows that came again, as in the snapshot after a reconnect
    in_gaps: int  # sent, not stored, and inside a gap that declares its ids
    declared: int  # rows that the open gaps say are missing
    gaps: int  # open gaps with an id range
    missing: tuple[str, ...]  # sent, not stored, and declared by nothing
    invented: tuple[str, ...]  # stored, never sent
    altered: tuple[str, ...]  # time, price, amount or side differ from what was sent
    seq_holes: int  # numbers missing in our own count
    silver: int
    silver_missing: tuple[str, ...]  # in bronze and not in silver
    silver_extra: tuple[str, ...]  # in silver and not in bronze
    silver_doubled: tuple[str, ...]  # in silver more than once
    silver_altered: tuple[str, ...]

    @property
    def name(self) -> str:
        """Exchange and symbol, for people."""
        return f"{self.exchange} {self.symbol}"

    def problems(self) -> Iterator[str]:
        """What is wrong, in words; nothing if all is well."""
        for ids, what in (
            (self.missing, "in neither bronze nor a declared gap"),
            (self.invented, "in bronze but never sent"),
            (self.altered, "altered in bronze"),
            (self.silver_missing, "in bronze but not in silver"),
            (self.silver_extra, "in silver but not in bronze"),
            (self.silver_doubled, "in silver more than once"),
            (self.silver_altered, "altered in silver"),
        ):
            if ids:
                yield f"{_counted(len(ids), 'trade')} {what} ({self.name}: {_named(ids)})"
        if self.declared != self.in_gaps:
            yield f"gaps declare {self.declared:,} missing but {self.in_gaps:,} are ({self.name})"
        if self.seq_holes:
            yield f"{_counted(self.seq_holes, 'hole')} in our own count ({self.name})"


@dataclass(frozen=True, kw_only=True)
class BarsVerdict:
    """One bar set of one stream, its sums against silver's, exact."""

    bar_set: str
    exchange: str
    symbol: str
    bars: int
    trades: int
    volume: Decimal
    value: Decimal
    silver_trades: int
    silver_volume: Decimal
    silver_value: Decimal
    is_contiguous: bool  # numbered 0, 1, 2, ... without a hole

    @property
    def is_exact(self) -> bool:
        """Whether the bars hold every trade of silver once, to the last digit."""
        held = (self.trades, self.volume, self.value)
        return self.is_contiguous and held == (self.silver_trades, self.silver_volume, self.silver_value)

    def problems(self) -> Iterator[str]:
        """What is wrong, in words."""
        where = f"({self.exchange} {self.symbol})"
        for held, silver, what in (
            (self.volume, self.silver_volume, "volume"),
            (self.value, self.silver_value, "value"),
            (self.trades, self.silver_trades, "trades"),
        ):
            if held != silver:
                yield f"bars {self.bar_set} hold {_plain(held)} of silver's {_plain(silver)} {what} {where}"
                return
        if not self.is_contiguous:
            yield f"bars {self.bar_set} are not numbered without holes {where}"


@dataclass(frozen=True)
class Verdict:
    """The whole answer."""

    streams: tuple[StreamVerdict, ...]
    bars: tuple[BarsVerdict, ...]

    @property
    def problems(self) -> list[str]:
        """Everything that is wrong, the gravest first."""
        found = [problem for stream in self.streams for problem in stream.problems()]
        found += [problem for bars in self.bars for problem in bars.problems()]
        return found if self.total("sent") else ["the exchange sent no trade, so nothing is proven", *found]

    @property
    def nothing_lost(self) -> bool:
        """Whether every trade is accounted for at every stage."""
        return not self.problems

    def total(self, count: str) -> int:
        """A count summed over the streams."""
        return sum(int(getattr(stream, count)) for stream in self.streams)

    def last_line(self) -> str:
        """The result in one line, with the numbers."""
        if problems := self.problems:
            return f"LOST: {'; '.join(problems)}"
        sent, bronze, in_gaps, gaps = (self.total(name) for name in ("sent", "bronze", "in_gaps", "gaps"))
        declared = f"{in_gaps:,} inside {_counted(gaps, 'declared gap')}"
        bars, sets = sum(each.bars for each in self.bars), len({each.bar_set for each in self.bars})
        return (
            f"NOTHING LOST: {_counted(sent, 'trade')} sent = {bronze:,} in bronze + {declared}; "
            f"{self.total('silver'):,} in silver, each once; "
            f"{_counted(bars, 'bar')} of {_counted(sets, 'set')} hold silver's exact volume"
        )


def verdict(evidence: Evidence) -> Verdict:
    """Hold the lake against the exchange's log."""
    frames = (evidence.sent, evidence.bronze, evidence.silver)
    keys = sorted({key for frame in frames for key in frame.select(_KEY).unique().iter_rows()})
    return Verdict(
        tuple(_stream(evidence, exchange, symbol) for exchange, symbol in keys),
        tuple(_bars(evidence)),
    )


def missing_trades(evidence: Evidence) -> pl.DataFrame:
    """The sent trades that are not stored, with `gap_id`: the open gap that declares each, or null."""
    missing = evidence.sent.join(evidence.bronze, on=_TRADE, how="anti")
    seq = pl.col("trade_seq")
    declaring = missing.join(open_ranges(evidence.gaps), on=_KEY).filter(
        seq > pl.col("prev_id"), seq < pl.col("next_id")
    )
    found = declaring.unique(_TRADE, keep="first", maintain_order=True).select(*_TRADE, "gap_id")
    return missing.join(found, on=_TRADE, how="left", maintain_order="left")


def open_ranges(gaps: pl.DataFrame) -> pl.DataFrame:
    """The open gaps that name the ids between which something is missing, ids as numbers."""
    ids = gaps.with_columns(pl.col("prev_id", "next_id").cast(pl.Int64, strict=False))
    return ids.filter(pl.col("status") == "open").drop_nulls(["prev_id", "next_id"])


def _stream(evidence: Evidence, exchange: str, symbol: str) -> StreamVerdict:
    here = (pl.col("exchange") == exchange) & (pl.col("symbol") == symbol)
    sent, bronze, silver = (frame.filter(here) for frame in (evidence.sent, evidence.bronze, evidence.silver))
    missing = missing_trades(evidence).filter(here)
    in_gaps = missing.filter(pl.col("gap_id").is_not_null())
    stored = bronze.unique("trade_id", keep="first", maintain_order=True)
    ranges = open_ranges(evidence.gaps).filter(here)
    doubled = silver.filter(pl.col("trade_id").is_duplicated()).unique("trade_id", maintain_order=True)
    return StreamVerdict(
        exchange=exchange,
        symbol=symbol,
        sent=sent.height,
        bronze=stored.height,
        copies=bronze.height - stored.height,
        in_gaps=in_gaps.height,
        declared=int(ranges["rows_lost"].sum()),
        gaps=ranges.height,
        missing=_ids(missing.filter(pl.col("gap_id").is_null())),
        invented=_ids(stored.join(sent, on=_TRADE, how="anti")),
        altered=_altered(bronze, sent),
        seq_holes=_seq_holes(bronze, evidence.gaps.filter(here)),
        silver=silver.height,
        silver_missing=_ids(stored.join(silver, on=_TRADE, how="anti")),
        silver_extra=_ids(silver.join(stored, on=_TRADE, how="anti")),
        silver_doubled=_ids(doubled),
        silver_altered=_altered(silver, sent),
    )


def _altered(stored: pl.DataFrame, sent: pl.DataFrame) -> tuple[str, ...]:
    pairs = stored.join(sent, on=_TRADE, suffix="_sent")
    differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_sent")) for name in _FIELDS)
    return _ids(pairs.filter(differs).unique("trade_id", maintain_order=True))


def _seq_holes(bronze: pl.DataFrame, gaps: pl.DataFrame) -> int:
    """Numbers that each epoch's count passes over, without those that a gap row declares."""
    holes = 0
    for rows in bronze.partition_by("epoch"):
        seqs = set(rows["seq"])
        absent = set(range(max(seqs) + 1)) - seqs
        for low, high in gaps.select("prev_seq", "next_seq").drop_nulls().iter_rows():
            absent -= set(range(low + 1, high))
        holes += len(absent)
    return holes


def _bars(evidence: Evidence) -> Iterator[BarsVerdict]:
    silver = {key: _sums(rows) for key, rows in evidence.silver.partition_by(_KEY, as_dict=True).items()}
    bars = evidence.bars.partition_by("bar_set", *_KEY, as_dict=True)
    for bar_set, exchange, symbol in evidence.bar_sets:
        found = bars.get((bar_set, exchange, symbol), evidence.bars.clear())
        trades, volume, value = silver.get((exchange, symbol), (0, Decimal(0), Decimal(0)))
        yield BarsVerdict(
            bar_set=bar_set,
            exchange=exchange,
            symbol=symbol,
            bars=found.height,
            trades=int(found["tick_count"].sum()),
            volume=_sum(found["volume_exact"].to_list()),
            value=_sum(found["dollar_volume_exact"].to_list()),
            silver_trades=trades,
            silver_volume=volume,
            silver_value=value,
            is_contiguous=sorted(found["bar_seq"]) == list(range(found.height)),
        )


def _sums(trades: pl.DataFrame) -> tuple[int, Decimal, Decimal]:
    """How many trades, their exact volume and their exact value."""
    prices = [Decimal(text or repr(number)) for text, number in trades.select("price_text", "price").iter_rows()]
    amounts = [Decimal(text or repr(number)) for text, number in trades.select("amount_text", "amount").iter_rows()]
    with localcontext(prec=_DIGITS):
        value = sum((price * amount for price, amount in zip(prices, amounts, strict=True)), Decimal(0))
    return trades.height, _sum(amounts), value


def _sum(numbers: Sequence[Decimal]) -> Decimal:
    with localcontext(prec=_DIGITS):
        return sum(numbers, Decimal(0))


def _ids(trades: pl.DataFrame) -> tuple[str, ...]:
    return tuple(trades["trade_id"])


def _named(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _NAMED_MAX:,} more" if len(ids) > _NAMED_MAX else ""
    return f"trade {', '.join(ids[:_NAMED_MAX])}{more}"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _plain(number: Decimal | int) -> str:
    return f"{Decimal(number).normalize():f}"
