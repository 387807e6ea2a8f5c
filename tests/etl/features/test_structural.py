"""`extract_structural_features`: a row for every book, equal to the reference and to what the processor says."""

import math
from collections.abc import Callable, Sequence
from datetime import datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.features.orderbook import extract_structural_features
from etl.features.stateful import StatefulFeatureProcessor
from shared.errors import InputUnreadable
from shared.rows import L2Message
from tests.conformance.sampling import DATA
from tests.etl.features.event_frames import snapshots
from tests.etl.features.recorded_books import RECORDINGS
from tests.etl.features.reference import Options
from tests.etl.features.reference.books import Book, cleaned
from tests.etl.features.reference.static import structural
from tests.etl.features.simulated import START_NS, simulated
from tests.ingestion.exchanges.book_reading import Book as Told
from tests.ingestion.exchanges.book_reading import rebuilt

S = 10**9
Side = Sequence[tuple[float, float]]
EVERYTHING = {"slope_kinds": ("gn", "ns"), "cost_base_sizes": (0.5,), "bands_bps": (0, 0.5, 1, 5, 20)}
BID, ASK = [(100.0, 5.0), (99.99, 3.0)], [(100.02, 4.0), (100.03, 6.0)]


def frame_of(books: Sequence[tuple[Side, Side]]) -> pl.DataFrame:
    return snapshots([(START_NS + k * S, bids, asks) for k, (bids, asks) in enumerate(books)])


def assert_is_references(books: Sequence[tuple[Side, Side]], **options: object) -> None:
    made = extract_structural_features(frame_of(books), **options)
    chosen = Options(**options)  # type: ignore[arg-type]
    for row, (bids, asks) in zip(made.iter_rows(named=True), books, strict=True):
        sides = (
            cleaned(side, is_bid=is_bid, max_levels=chosen.max_levels) for side, is_bid in ((bids, True), (asks, False))
        )
        for name, value in structural(Book(0, *sides), chosen).items():
            is_float = isinstance(value, float)
            assert row[name] == (pytest.approx(value, rel=1e-9, abs=1e-9) if is_float else value), name


def simulated_books(seed: int, count: int) -> list[tuple[Side, Side]]:
    return [(book.bids, book.asks) for book in simulated(seed, events=count).snapshots]


@pytest.mark.parametrize("options", [{}, EVERYTHING], ids=["default", "everything"])
def test_simulated_books_are_the_references(options: dict[str, object]) -> None:
    assert_is_references(simulated_books(4, 250), **options)


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no recordings at {DATA}; set DAEDALUS_TEST_DATA")
@pytest.mark.parametrize("name", RECORDINGS)
def test_recorded_books_are_the_references(name: str) -> None:
    rows = RECORDINGS[name]().rows
    books: list[tuple[Side, Side]] = []
    every = 97 if len(rows) > 5_000 else 7
    for symbol in sorted({row.symbol for row in rows if isinstance(row, L2Message)}):
        seen = 0

        def look(book: Told, _: int) -> None:
            nonlocal seen
            seen += 1
            if seen % every == 1:
                near = [sorted(book["bid"].items())[:-25:-1], sorted(book["ask"].items())[:24]]
                books.append((near[0], near[1]))

        rebuilt(rows, symbol, look)
    assert len(books) > 5
    assert_is_references(books[:: len(books) // 100 + 1], **EVERYTHING)


@pytest.mark.parametrize("options", [{}, {"max_levels": 6, "ofi_levels": 2, "level_columns": False}])
def test_the_processor_says_the_same(options: dict[str, object]) -> None:
    frame = frame_of(simulated_books(9, 300))
    processor = StatefulFeatureProcessor(hf_emit_interval=0, **options)
    rows = pl.concat([processor.update(frame), processor.flush()])
    made = extract_structural_features(frame, **options)
    names = [name for name in made.columns if name not in ("timestamp", "gap_before")]
    assert len(names) > 60
    assert made.select(names).equals(rows.select(names))


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
def test_a_lazy_frame_stays_lazy_and_says_the_same(engine: str) -> None:
    frame = frame_of(simulated_books(2, 100)).with_columns(symbol=pl.lit("BTC-USD"))
    made = extract_structural_features(frame)
    lazy = extract_structural_features(frame.lazy())
    assert lazy.collect_schema() == made.schema
    assert lazy.collect(engine=engine).equals(made)  # type: ignore[call-overload]
    late, wide = pl.col("timestamp") > frame["timestamp"][50], pl.col("spread") > 0.02
    asked = lazy.filter(late, wide).select("symbol", "mid_price").head(7)
    expected = made.filter(late, wide).select("symbol", "mid_price").head(7)
    assert asked.collect(engine=engine).equals(expected)  # type: ignore[call-overload]


def test_every_row_stays_where_it_is() -> None:
    """Late ones and repeated ones too; more rows than are made at once."""
    books = [*simulated_books(5, 40), (BID, ASK), (BID, ASK)]
    frame = frame_of(books)
    turned = extract_structural_features(frame.reverse())
    assert turned.reverse().equals(extract_structural_features(frame))
    long = pl.concat([frame] * 400)
    made = extract_structural_features(long, level_columns=False)
    assert made.equals(pl.concat([extract_structural_features(frame, level_columns=False)] * 400))


def test_no_rows_make_no_rows() -> None:
    nothing = extract_structural_features(frame_of([]))
    assert nothing.schema == extract_structural_features(frame_of([(BID, ASK)])).schema
    assert nothing.is_empty()


ANY_SIDE = st.lists(st.tuples(st.floats(), st.floats()), max_size=4)


@settings(max_examples=200)
@given(book=st.tuples(ANY_SIDE, ANY_SIDE))
def test_whatever_floats_there_are_none_is_nan_or_infinite(book: tuple[Side, Side]) -> None:
    """F5, with numbers that only a broken feed sends; nor is anything warned of."""
    made = extract_structural_features(frame_of([book]), **EVERYTHING)
    assert not [name for name, value in made.row(0, named=True).items() if value in (math.inf, -math.inf)]
    assert not made.select(pl.any_horizontal(pl.col(pl.Float64).is_nan())).item()


def told(bids: Side | None, asks: Side | None) -> dict[str, object]:
    frame = frame_of([(bids or [], asks or [])])
    for name, side in (("bids", bids), ("asks", asks)):
        if side is None:
            frame = frame.with_columns(pl.lit(None, frame.schema[name]).alias(name))
    return extract_structural_features(frame, level_columns=False).row(0, named=True)


def known(row: dict[str, object]) -> set[str]:
    flags = {"timestamp", "gap_before", "is_locked", "is_crossed", "is_one_sided", "levels_bid", "levels_ask"}
    return {name for name, value in row.items() if value is not None} - flags


def test_a_crossed_book_has_levels_and_nothing_else() -> None:
    row = told([(100.03, 1.0), (100.0, 2.0)], ASK)
    assert (row["is_crossed"], row["is_one_sided"], row["levels_bid"], row["levels_ask"]) == (True, False, 2, 2)
    assert known(row) == set()


def test_a_locked_book_has_what_divides_by_no_distance() -> None:
    row = told([(100.02, 4.0), (100.0, 2.0)], ASK)
    assert row["is_locked"]
    assert (row["spread"], row["microprice"], row["bid_vol_band_0_5bps"]) == (0, 100.02, 6)
    assert row["micro_dev"] is row["inv_dist_imbalance"] is None


@pytest.mark.parametrize("empty", [[], None, [(100.02, 0.0)], [(-1.0, 5.0), (math.nan, 1.0), (100.02, math.inf)]])
def test_a_book_of_one_side(empty: Side | None) -> None:
    row = told(BID, empty)
    assert (row["is_one_sided"], row["is_crossed"], row["levels_bid"], row["levels_ask"]) == (True, False, 2, 0)
    assert known(row) == {"vwap_bid_5", "bid_depth_entropy", "bid_concentration", "bid_top_share"}
    assert known(told(empty, empty)) == set()


def test_levels_are_cleaned_as_everywhere() -> None:
    """Out of order, told twice (the last counts), of no size."""
    row = told([(99.99, 3.0), (99.995, 0.0), (100.0, 1.0), (100.0, 5.0)], list(reversed(ASK)))
    assert row == told(BID, ASK)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda frame: frame.drop("bids"), "columns timestamp, asks, gap_before|no column 'bids'"),
        (lambda frame: frame.drop("timestamp"), "no column 'timestamp'"),
        (lambda frame: frame.with_columns(asks=pl.lit(1.5)), "column 'asks' of books is Float64"),
        (lambda frame: frame.with_columns(asks=pl.lit("[]")), "column 'asks' of books is String"),
        (
            lambda frame: frame.with_columns(asks=[[{"price": "a", "size": "b"}]]),
            "column 'asks' of books is List",
        ),
        (lambda frame: frame.with_columns(timestamp=pl.lit(5)), "column 'timestamp' of books is Int"),
        (lambda frame: frame.with_columns(timestamp=pl.lit(datetime(2024, 1, 1))), "column 'timestamp' of books is"),
        (lambda frame: frame.with_columns(spread=pl.lit(1.0)), "column 'spread' of books is a feature"),
    ],
)
def test_a_frame_that_is_no_books_is_refused_in_one_line(
    change: Callable[[pl.DataFrame], pl.DataFrame], problem: str
) -> None:
    frame = change(frame_of([(BID, ASK)]))
    for books in (frame, frame.lazy()):
        with pytest.raises(InputUnreadable, match=problem) as refused:
            extract_structural_features(books)
        assert "\n" not in refused.value.line()


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(InputUnreadable, match="books are a list"):
        extract_structural_features([1])  # type: ignore[type-var]
    with pytest.raises(ValueError, match="did you mean max_levels"):
        extract_structural_features(frame_of([]), max_level=3)


def test_levels_may_be_decimals_and_pairs() -> None:
    plain = frame_of([(BID, ASK)])
    number = pl.element().struct.field("price", "size").cast(pl.Decimal(38, 18))
    exact = plain.with_columns(pl.col("bids", "asks").list.eval(pl.struct(number, more=pl.lit("?"))))
    pairs = plain.with_columns(
        *(pl.Series(name, [[list(level) for level in side]]) for name, side in (("bids", BID), ("asks", ASK)))
    )
    for frame in (exact, pairs):
        assert extract_structural_features(frame).equals(extract_structural_features(plain))
