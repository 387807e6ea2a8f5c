"""What a builder remembers between batches: typed, versioned, and small enough for a checkpoint."""

from typing import Any

from msgspec import Struct

from shared.errors import StateMismatch

VERSION = 2


class SavedBar(Struct, frozen=True, kw_only=True):
    """The trades since the last bar. `sums` are whole numbers as text: they may exceed 64 bits."""

    sums: dict[str, str]  # cell -> whole number, see etl.bars.kernels.SUM_CELLS
    times: dict[str, int]  # cell -> us since 1970, or a count
    first_trade_id: str
    last_trade_id: str


class Memory(Struct, frozen=True, kw_only=True):
    """What tells a new trade from a repeated and from a late one.

    Trades with a `trade_seq` and trades without are remembered apart; each follows its own order.
    """

    last_seq: int | None = None
    floor_seq: int | None = None  # what lies below is no longer, or was never, known
    holes: tuple[tuple[int, int], ...] = ()  # (first, last) of the ids passed over, ascending
    last_us: int | None = None
    last_epoch: str = ""
    last_arrival: int = -1
    ids: tuple[str, ...] = ()  # the last ids, oldest first


class Signs(Struct, frozen=True, kw_only=True):
    """What the tick rule goes by."""

    last_price: str = ""  # of the last trade, exact; "": none yet, or forgotten
    last_sign: int = 0


class Counters(Struct, frozen=True, kw_only=True):
    """What happened to the trades given so far."""

    n_trades: int = 0  # in bars, the open one included
    n_dup: int = 0  # dropped: seen before
    n_late: int = 0  # dropped: behind a trade already used, and not seen before
    n_ts_regress: int = 0  # used, although stamped before the trade used just before
    n_skipped: int = 0  # in no bar: before a threshold was known, or in a first bucket that is left out


class State(Struct, frozen=True, kw_only=True):
    """Everything a builder needs to go on as if it had never stopped; a kind adds its `progress`."""

    kind: str
    params: str  # canonical JSON
    params_hash: str
    version: int = VERSION
    bar_seq: int = 0  # of the next bar
    price_scale: int = 0
    size_scale: int = 0
    open_bar: SavedBar | None = None
    last_us: int | None = None  # of the last trade used
    gap_owed: bool = False  # a hole came before a late trade, and no trade was used since
    stream: dict[str, str] = {}  # the `exchange` and `symbol` of its trades, where they say
    signs: Signs = Signs()
    memory: Memory = Memory()
    counters: Counters = Counters()


def checked(state: Any, begun: State) -> Any:
    """The state, if a builder can go on from it whose own state before the first trade is `begun`.

    Raises: ValueError for what is no state; StateMismatch for one of other bars, other parameters or another version.
    """
    if not isinstance(state, State):
        what = f"state must be a State, as snapshot() gives, was {type(state).__name__}"
        raise ValueError(f"{what}; saved ones are read by etl.bars.read_state({begun.kind!r}, data)")  # noqa: TRY004 - a bad value, as any other
    mine, its = ((each.kind, each.params_hash, each.version) for each in (begun, state))
    if not isinstance(state, type(begun)) or its != mine:
        raise StateMismatch(
            f"the state is of {state.kind} bars {state.params}, version {state.version}; "
            f"the builder makes {begun.kind} bars {begun.params}, version {VERSION}",
            hint="Build these bars anew, or give the parameters they were begun with",
        )
    return state
