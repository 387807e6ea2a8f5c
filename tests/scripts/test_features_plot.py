"""`daedalus features plot` as a person calls it: a picture that shows the book, and a page that asks nobody."""

import io
import re
from contextlib import redirect_stderr, redirect_stdout
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import polars as pl
import pytest
from PIL import Image

from etl.features.stateful import StatefulFeatureProcessor
from scripts.cli import main
from scripts.features.drawn import COLUMNS_MAX, drawn
from shared.partitioning import Lake, Partition
from shared.rows import OrderBook, Trade
from tests.scripts.features_lake import START_US, books_and_trades

SVG = "{http://www.w3.org/2000/svg}"
UTC = pl.Datetime("us", "UTC")


def plot(*args: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main(["features", "plot", *map(str, args)])
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()


def features_of(seconds: int, **options: object) -> pl.DataFrame:
    """Rows of silver `orderbook` of a market that nobody traded."""
    market = books_and_trades(3, seconds=seconds)
    level = pl.List(pl.Struct({"price": pl.Float64, "size": pl.Float64}))
    books, trades = ([row for row in market if isinstance(row, kind)] for kind in (OrderBook, Trade))
    sides = [[[{"price": p, "size": q} for p, q in getattr(row, side)] for row in books] for side in ("bids", "asks")]
    given = pl.DataFrame(
        {
            "timestamp": pl.Series([row.timestamp for row in books]).cast(UTC),
            "bids": pl.Series(sides[0], dtype=level),
            "asks": pl.Series(sides[1], dtype=level),
        }
    )
    traded = pl.DataFrame(
        [(row.timestamp, row.price, row.amount, row.side) for row in trades],
        schema={"timestamp": UTC, "price": pl.Float64, "amount": pl.Float64, "side": pl.String},
        orient="row",
    ).sort("timestamp")
    made = StatefulFeatureProcessor(vpin_bucket_volume=5.0, vpin_window_buckets=3, **options)
    rows = pl.concat([made.update(given, traded), made.flush()])
    return rows.select(pl.lit("kraken").alias("exchange"), pl.lit("BTC-USD").alias("symbol"), pl.all())


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return features_of(120)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, rows: pl.DataFrame) -> Path:
    """The settings of a lake with silver order books of two streams."""
    folder = tmp_path_factory.mktemp("lake")
    lake = Lake.under(folder)
    for exchange in ("kraken", "okx"):
        place = lake.silver("orderbook") / Partition.of_us(exchange, "BTC-USD", START_US, unit="day").path()
        place.mkdir(parents=True)
        own = rows.with_columns(exchange=pl.lit(exchange))
        own.write_parquet(place / "orderbook_20260528T20.parquet")
    path = folder / "config.yaml"
    path.write_text(
        f'storage: {{paths: {{raw_dir: "{lake.raw}", processed_dir: "{lake.processed}", state_dir: "{lake.state}"}}}}'
    )
    return path


def pixels_near(picture: Path, colour: tuple[int, int, int]) -> int:
    with Image.open(picture) as image:
        counts = {seen: count for count, seen in image.convert("RGB").getcolors(1 << 24)}
    return sum(n for seen, n in counts.items() if max(abs(a - b) for a, b in zip(seen, colour, strict=True)) <= 3)


def test_a_picture_shows_both_sides_of_the_book(config: Path, rows: pl.DataFrame, tmp_path: Path) -> None:
    picture = tmp_path / "book.png"
    code, out, err = plot("-c", config, "--exchange", "kraken", "-o", picture)
    assert (code, err) == (0, "")
    assert out == f"{picture}: {rows.height} rows of kraken BTC-USD\n"
    with Image.open(picture) as image:
        assert image.size[0] == 1800
    for colour in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)):  # the largest sizes
        assert pixels_near(picture, colour) > 2000


def test_a_page_tells_every_moment_and_asks_nobody(config: Path, rows: pl.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "book.html"
    assert plot("-c", config, "--exchange", "kraken", "-o", path)[0] == 0
    text = path.read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\"' )]+", text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert "default-src 'none'" in text
    assert "<script" not in text
    for words in (
        "BTC-USD on kraken, 2026-05-28 20:26:4",
        "price, USD",
        "volatility",
        "VPIN",
        "Return in the next 1 s",
    ):
        assert words in text
    svg = ET.fromstring(text[text.index("<svg", text.index('class="panel"')) : text.rindex("</svg>") + 6])
    told = {g.get("id"): g.findtext(f"{SVG}title") for g in svg.iter(f"{SVG}g") if g.get("id", "").startswith("row-")}
    assert list(told) == [f"row-{place}" for place in range(rows.height)]
    for place, row in enumerate(rows.to_dicts()):
        lines = (told[f"row-{place}"] or "").splitlines()
        assert lines[0].startswith(f"{row['timestamp']:%Y-%m-%d %H:%M:%S}")
        assert ("begins anew" in lines[0]) == row["is_reset"]
        assert f"mid price {row['mid_price']:,.6g} USD" in lines
        if row["ofi"] is not None:
            assert f"order flow imbalance {row['ofi']:,.6g} BTC" in lines


def test_the_same_rows_give_the_same_files_from_lake_and_file(config: Path, rows: pl.DataFrame, tmp_path: Path) -> None:
    rows.write_parquet(tmp_path / "rows.parquet")
    for name in ("book.png", "book.html"):
        for source in (("-c", config, "--exchange", "kraken"), ("-i", tmp_path / "rows.parquet")):
            path = tmp_path / f"{source[0]}{name}"
            assert plot(*source, "-o", path)[0] == 0
        assert (tmp_path / f"-c{name}").read_bytes() == (tmp_path / f"-i{name}").read_bytes()


def test_times_are_those_asked_for_and_by_default_the_last_hour(rows: pl.DataFrame, tmp_path: Path) -> None:
    early = rows.with_columns(pl.col("timestamp") - timedelta(hours=1, seconds=60))
    path = tmp_path / "rows.parquet"
    pl.concat([early, rows]).write_parquet(path)
    out = tmp_path / "x.png"
    last = rows["timestamp"][-1]
    kept = int((early["timestamp"] > last - timedelta(hours=1)).sum())
    assert plot("-i", path, "-o", out)[1] == f"{out}: {rows.height + kept} rows of kraken BTC-USD\n"
    since, until = (last - timedelta(seconds=s) for s in (40, 10))
    assert ": 30 rows" in plot("-i", path, "--since", since.isoformat(), "--until", until.isoformat(), "-o", out)[1]


def test_flows_of_columns_add_up_and_pairs_look_one_interval_ahead(rows: pl.DataFrame) -> None:
    found = drawn(rows.lazy(), exchange="kraken", symbol="BTC-USD")
    assert found
    assert found.columns["ofi"].sum() == pytest.approx(rows["ofi"].sum())
    assert found.pairs["next"].to_list()[:-1] == found.pairs["same"].to_list()[1:]
    mids = dict(zip(rows["timestamp"], rows["mid_price"], strict=True))
    for end, same in found.pairs.select("end", "same").iter_rows():
        assert same == pytest.approx(pl.Series([mids[end] / mids[end - found.pair]]).log().item() * 1e4, abs=1e-9)


def test_more_rows_than_can_be_told_apart_are_drawn_in_columns() -> None:
    rows = features_of(1600)
    found = drawn(rows.lazy(), exchange="kraken", symbol="BTC-USD")
    assert found
    assert len(found.columns) <= COLUMNS_MAX
    assert found.n_rows == rows.height
    assert found.columns["ofi"].sum() == pytest.approx(rows["ofi"].sum())
    for name in ("trade_volume", "tfi"):
        assert found.columns[name].sum() == pytest.approx(rows[name].sum())


def test_what_options_leave_out_is_not_drawn(tmp_path: Path) -> None:
    bare = features_of(30, level_columns=False).drop("vpin", "trade_volume")
    bare.write_parquet(tmp_path / "bare.parquet")
    code, _, err = plot("-i", tmp_path / "bare.parquet", "-o", tmp_path / "bare.html")
    assert (code, err) == (0, "")
    text = (tmp_path / "bare.html").read_text()
    assert "mid price" in text
    assert "VPIN" not in text
    assert "buyers took" not in text


def test_crossed_and_one_sided_rows_are_no_holes_in_the_drawing(rows: pl.DataFrame, tmp_path: Path) -> None:
    spoilt = rows.with_columns(
        pl.when(pl.int_range(pl.len()) % 7 == 0).then(None).otherwise(pl.col(name)).alias(name)
        for name in rows.columns
        if rows[name].dtype == pl.Float64
    ).with_columns(is_crossed=pl.int_range(pl.len()) % 7 == 0)
    spoilt.write_parquet(tmp_path / "rows.parquet")
    assert plot("-i", tmp_path / "rows.parquet", "-o", tmp_path / "rows.png")[0] == 0
    one = rows.head(1)
    one.write_parquet(tmp_path / "one.parquet")
    assert plot("-i", tmp_path / "one.parquet", "-o", tmp_path / "one.png")[0] == 0


def test_mistakes_get_one_line(config: Path, rows: pl.DataFrame, tmp_path: Path) -> None:
    crossed = tmp_path / "crossed.parquet"
    rows.with_columns(mid_price=pl.lit(None, dtype=pl.Float64)).write_parquet(crossed)
    empty = tmp_path / "empty.parquet"
    rows.clear().write_parquet(empty)
    out, bars, torn = tmp_path / "x.png", tmp_path / "bars.parquet", tmp_path / "torn.parquet"
    pl.DataFrame({"close": [1.0]}).write_parquet(bars)
    torn.write_bytes(bars.read_bytes()[:-9])
    for args, words in (
        (("-c", config, "-o", out), "a picture is of one stream; there are kraken BTC-USD, okx BTC-USD"),
        (("-c", config, "--symbol", "SOL-USD", "-o", out), "no symbol 'SOL-USD'"),
        (("-c", config, "--exchange", "okx", "--until", "2026-01-01", "-o", out), "silver_orderbook has no file for"),
        (("-c", config, "--exchange", "okx", "--since", "2026-01-01", "-o", out), "since 2026-01-01 00:00:00 UTC"),
        (("-i", crossed, "--until", "2026-01-01", "-o", out), "no row with a valid book from 2025-12-31 23:00:00"),
        (("-c", config, "--exchange", "okx", "-o", tmp_path / "x.gif"), "pictures are .png or .html"),
        (("-c", config, "--exchange", "okx", "-o", tmp_path / "none" / "x.png"), "cannot be written"),
        (("-i", crossed, "-o", out), "no row with a valid book"),
        (("-i", empty, "-o", out), "there are none"),
        (("-i", tmp_path / "none.parquet", "-o", out), "none.parquet: no such file"),
        (("-i", torn, "-o", out), "torn.parquet: cannot be read"),
        (("-i", bars, "-o", out), "bars.parquet: no column 'timestamp'"),
    ):
        code, told, err = plot(*args)
        assert (code, told) == (2, ""), args
        (line,) = err.splitlines()
        assert words in line
    assert not out.exists()
