"""Silver trades: each fill once, in the exchange's own order, with the taker's side."""

import io
from itertools import pairwise

import msgspec
import polars as pl

from etl.core.base import AHEAD_MAX, BaseTransform, LateRows
from etl.core.registry import register_transform
from shared.errors import StateMismatch
from shared.exchange_facts import SideNames, facts_of, ids_prove_order, taker_sides

SCHEMA = pl.Schema(
    {
        "ordinal": pl.Int64(),  # place in the stream's order, contiguous from 0
        "exchange": pl.String(),
        "symbol": pl.String(),
        "timestamp": pl.Datetime("us", "UTC"),
        "tape_ts": pl.Datetime("us", "UTC"),  # largest timestamp up to here: never goes back, decides the partition
        "trade_id": pl.String(),
        "trade_seq": pl.Int64(),
        "side": pl.String(),  # the taker's
        "side_names": pl.String(),  # whose side the exchange's word named: the convention used
        "price": pl.Float64(),
        "amount": pl.Float64(),
        "price_text": pl.String(),
        "amount_text": pl.String(),
        "cost": pl.Float64(),
        "gap_before": pl.Boolean(),  # a hole lies between this trade and the one before it
        "known_at": pl.Datetime("us", "UTC"),  # capture time of the first copy
        "epoch": pl.String(),
        "seq": pl.Int64(),
        "year": pl.Int32(),
        "month": pl.Int32(),
        "day": pl.Int32(),
    }
)
BRONZE_COLUMNS = (
    "capture_ts", "epoch", "seq", "exchange", "symbol", "timestamp", "trade_id", "trade_seq", "side_raw",
    "price", "amount", "price_text", "amount_text", "cost",
)  # fmt: skip
HOLES_MAX = 100_000  # remembered ranges of missing ids; beyond them an old id counts as late, which costs a rebuild


class TradesState(msgspec.Struct, frozen=True, kw_only=True):
    """All that `TradesTransform` knows."""

    version: int
    pending: bytes = b""  # rows not yet released, Arrow IPC
    watermark_us: int | None = None  # largest exchange time seen
    tape_us: int | None = None  # largest exchange time released
    holes_seen: int = 0  # declared holes that ended so far, in order of arrival
    holes_released: int = 0  # of them, those before the last row released
    ordinal: int = 0
    last_seq: int | None = None
    last_key: tuple[int, str, int] | None = None  # (timestamp, epoch, seq) of the last row released
    holes: list[tuple[int, int]] = []  # first and last of each range of ids missing before `last_seq`
    recent_ids: list[str] = []  # where ids prove nothing: those of the last rows released
    duplicates: int = 0
    rejected: int = 0


@register_transform("trades")
class TradesTransform(BaseTransform):
    """Cleans, orders and deduplicates one stream's trades.

    Order is the exchange's sequence where ids are contiguous, else (exchange time, epoch, seq). Rows are released
    when the largest exchange time seen is `lateness_s` ahead of them; the rest waits in the state.
    """

    name = "trades"
    version = 1
    OPTIONS = ("dedup_window",)  # what `processor_options` may set

    def __init__(
        self,
        *,
        exchange: str,
        lateness_s: float,
        side_names: SideNames | None = None,  # in place of what `shared.exchange_facts` says
        dedup_window: int = 100_000,
        state: bytes | None = None,
    ) -> None:
        if not isinstance(dedup_window, int) or dedup_window < 1:
            raise ValueError(f"dedup_window must be a whole number above 0, was {dedup_window!r}")
        if lateness_s < 0:
            raise ValueError(f"lateness_s must not be negative, was {lateness_s}")
        self._lateness_us = round(lateness_s * 1e6)
        self._by_seq = ids_prove_order(exchange)
        self._side_names = side_names or facts_of(exchange).side_names
        self._sides = taker_sides(exchange, convention=self._side_names)
        self.rules = f"side_names={self._side_names}"
        self._dedup_window = dedup_window
        restored = msgspec.msgpack.decode(state, type=TradesState) if state else TradesState(version=self.version)
        if restored.version != self.version:
            what = f"state of trades is version {restored.version}, this is {self.version}"
            raise StateMismatch(what, hint="Make silver anew")
        self._state = restored
        self._pending = pl.read_ipc(io.BytesIO(restored.pending)) if restored.pending else None

    @property
    def holes_seen(self) -> int:
        """Declared holes that ended so far, in order of arrival."""
        return self._state.holes_seen

    @property
    def order(self) -> str:
        """The column that comes first in the order of trades."""
        return self._order()[0]

    def update(self, rows: pl.DataFrame, *, before: int | None = None) -> pl.DataFrame:
        """The trades that these bronze rows release.

        Args:
            rows: columns `BRONZE_COLUMNS` in order of arrival, and `holes_seen`, how many declared holes of the
                stream had ended when each arrived.
            before: where rows come in the order of trades, by slices: the `order` (a time in microseconds) with
                which the next slice begins. Nothing from there on is released.

        Raises: LateRows where a trade belongs before one already released.
        """
        valid = rows.filter(self._is_trade())
        fresh, duplicates = self._unseen(valid)
        waiting = fresh if self._pending is None else pl.concat([self._pending, fresh])
        unique = waiting.filter(self._identity().is_first_distinct())
        ordered = unique.sort(self._order(), maintain_order=True)
        latest = valid["timestamp"].dt.timestamp("us").max() if valid.height else None
        watermark = max((w for w in (self._state.watermark_us, latest) if isinstance(w, int)), default=None)
        self._state = msgspec.structs.replace(
            self._state,
            watermark_us=watermark,
            holes_seen=max(self._state.holes_seen, int(rows.select(pl.col("holes_seen").max()).item() or 0)),
            duplicates=self._state.duplicates + duplicates + waiting.height - unique.height,
            rejected=self._state.rejected + rows.height - valid.height,
        )
        ready = self._ready(ordered)
        if before is not None:
            ready = min(ready, int((ordered[self.order].to_physical() < before).sum()))
        return self._release(ordered, ready)

    def passed(self, us: int) -> pl.DataFrame:
        """The trades that are released now that another channel of the stream has reached `us` since 1970.

        What silver holds does not depend on it: in a market without trades the last ones are released sooner.
        """
        reached = max(us, self._state.watermark_us if self._state.watermark_us is not None else us)
        self._state = msgspec.structs.replace(self._state, watermark_us=reached)
        if self._pending is None:
            return SCHEMA.to_frame()
        return self._release(self._pending, self._ready(self._pending))

    @property
    def complete_us(self) -> int | None:
        """Every trade up to this time has been released, but for late ones; None if nothing was seen yet."""
        watermark = self._state.watermark_us
        return None if watermark is None else watermark - self._lateness_us

    def _ready(self, ordered: pl.DataFrame) -> int:
        """How many of the waiting trades, from the first on, are far enough behind the watermark."""
        if self.complete_us is None:
            return 0
        held = (ordered["timestamp"].dt.timestamp("us") > self.complete_us).to_numpy()
        return int(held.argmax()) if held.any() else ordered.height

    def finish(self) -> pl.DataFrame:
        """Every trade still held back."""
        if self._pending is None:
            return SCHEMA.to_frame()
        return self._release(self._pending, self._pending.height)

    @property
    def duplicates(self) -> int:
        """How many rows were left out because their trade was there before."""
        return self._state.duplicates

    @property
    def rejected(self) -> int:
        """How many rows were left out because they are no trades."""
        return self._state.rejected

    def snapshot(self) -> bytes:
        """The whole state as msgpack."""
        pending = b""
        if self._pending is not None and self._pending.height:
            sink = io.BytesIO()
            self._pending.write_ipc(sink, compression="zstd")
            pending = sink.getvalue()
        return msgspec.msgpack.encode(msgspec.structs.replace(self._state, pending=pending))

    def _order(self) -> list[str]:
        return ["trade_seq"] if self._by_seq else ["timestamp", "epoch", "seq"]

    def _is_trade(self) -> pl.Expr:
        finite = pl.col("price").is_finite() & pl.col("amount").is_finite()
        valid = finite & (pl.col("price") > 0) & (pl.col("amount") > 0) & pl.col("timestamp").is_not_null()
        valid &= pl.col("timestamp") <= pl.col("capture_ts") + AHEAD_MAX
        return valid & pl.col("trade_seq").is_not_null() if self._by_seq else valid

    def _identity(self) -> pl.Expr:
        """What makes two rows the same trade. Opaque ids may begin again; a trade without one is like no other."""
        if self._by_seq:
            return pl.col("trade_seq")
        named = pl.concat_str("trade_id", pl.col("timestamp").dt.timestamp("us"), separator="@")
        own = pl.concat_str("epoch", "seq", separator="#")
        return pl.when(pl.col("trade_id") == "").then(own).otherwise(named)

    def _unseen(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, int]:
        """The rows not released before, and how many were; a late one stops everything."""
        state = self._state
        if state.last_seq is not None and self._by_seq:
            old = rows.filter(pl.col("trade_seq") <= state.last_seq)
            if old.height and self._fills_a_hole(old["trade_seq"]):
                raise LateRows
            return rows.filter(pl.col("trade_seq") > state.last_seq), old.height
        if state.last_key is not None:
            fresh = rows.filter(~self._identity().is_in(state.recent_ids))
            if fresh.select(_not_after(state.last_key).any()).item():
                raise LateRows
            return fresh, rows.height - fresh.height
        return rows, 0

    def _fills_a_hole(self, seqs: pl.Series) -> bool:
        return any(first <= seq <= last for seq in seqs for first, last in self._state.holes)

    def _release(self, ordered: pl.DataFrame, ready: int) -> pl.DataFrame:
        released, self._pending = ordered.head(ready), ordered.tail(ordered.height - ready)
        if not released.height:
            return SCHEMA.to_frame()
        state = self._state
        if self._by_seq:
            seqs = released["trade_seq"].to_list()
            before = seqs[0] - 1 if state.last_seq is None else state.last_seq
            holes = [(low + 1, high - 1) for low, high in pairwise([before, *seqs]) if high - low > 1]
            first = [] if state.last_seq is not None else [(0, seqs[0] - 1)]
            gap_before = pl.Series([high - low > 1 for low, high in pairwise([before, *seqs])])
            kept = [*first, *state.holes, *holes]
            state = msgspec.structs.replace(state, last_seq=seqs[-1], holes=_bounded(kept))
        else:
            passed = released["holes_seen"].cum_max()
            before_each = pl.concat([pl.Series([state.holes_released]), passed[:-1]]).cum_max()
            gap_before = passed > before_each
            last = released.row(-1, named=True)
            moment = int(released["timestamp"].dt.timestamp("us")[-1])
            ids = [*state.recent_ids, *released.select(self._identity()).to_series()][-self._dedup_window :]
            key = (moment, str(last["epoch"]), int(last["seq"]))
            holes_released = max(state.holes_released, int(passed[-1]))
            state = msgspec.structs.replace(state, last_key=key, recent_ids=ids, holes_released=holes_released)
        tape = released["timestamp"].dt.timestamp("us").cum_max()
        if state.tape_us is not None:
            tape = tape.clip(lower_bound=state.tape_us)
        out = self._silver(released, tape.cast(pl.Datetime("us", "UTC")), gap_before)
        ordinal = state.ordinal + released.height
        self._state = msgspec.structs.replace(state, ordinal=ordinal, tape_us=int(tape[-1]))
        return out

    def _silver(self, rows: pl.DataFrame, tape: pl.Series, gap_before: pl.Series) -> pl.DataFrame:
        ordinal = self._state.ordinal
        return rows.select(
            pl.int_range(ordinal, ordinal + pl.len()).alias("ordinal"),
            "exchange",
            "symbol",
            "timestamp",
            tape.alias("tape_ts"),
            "trade_id",
            "trade_seq",
            pl.col("side_raw").replace_strict(self._sides, default=None, return_dtype=pl.String).alias("side"),
            pl.lit(self._side_names).alias("side_names"),
            "price",
            "amount",
            "price_text",
            "amount_text",
            "cost",
            gap_before.alias("gap_before"),
            pl.col("capture_ts").alias("known_at"),
            "epoch",
            "seq",
            tape.dt.year().cast(pl.Int32).alias("year"),
            tape.dt.month().cast(pl.Int32).alias("month"),
            tape.dt.day().cast(pl.Int32).alias("day"),
        ).match_to_schema(SCHEMA)


def _not_after(key: tuple[int, str, int]) -> pl.Expr:
    """Whether a row comes at or before `key` in the order (timestamp, epoch, seq)."""
    moment, epoch, seq = pl.col("timestamp").dt.timestamp("us"), pl.col("epoch"), pl.col("seq")
    same_epoch = (epoch < key[1]) | ((epoch == key[1]) & (seq <= key[2]))
    return (moment < key[0]) | ((moment == key[0]) & same_epoch)


def _bounded(holes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The newest holes; those forgotten are joined into one that holds all of them, so nothing late goes unseen."""
    surplus = len(holes) - HOLES_MAX
    if surplus <= 0:
        return holes
    return [(holes[0][0], holes[surplus][1]), *holes[surplus + 1 :]]
