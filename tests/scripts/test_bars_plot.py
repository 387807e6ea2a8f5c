"""`daedalus bars plot` as a person calls it: a picture that shows the bars, and a page that asks nobody."""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import polars as pl
import pytest
from PIL import Image

from etl.bars.filling import filled
from shared.partitioning import Lake
from storage.bar_sets import bar_streams
from tests.scripts.bars_lake import bars_lake

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> str:
    return bars_lake(tmp_path_factory.mktemp("lake"))


def plot(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "scripts.cli", "bars", "plot", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def bars_of(config: str, kind: str, symbol: str) -> pl.DataFrame:
    streams = bar_streams(Lake.under(Path(config).parent))
    (found,) = [each for each in streams if each.bar_set.startswith(kind) and each.symbol == symbol]
    return found.scan().collect()


def pixels_near(picture: Path, colour: tuple[int, int, int]) -> int:
    with Image.open(picture) as image:
        counts = {seen: count for count, seen in image.convert("RGB").getcolors(1 << 24)}
    return sum(n for seen, n in counts.items() if max(abs(a - b) for a, b in zip(seen, colour, strict=True)) <= 3)


def test_a_picture_shows_candles_volumes_and_the_gap(config: str, tmp_path: Path) -> None:
    picture, before_gap = tmp_path / "bars.png", tmp_path / "before.png"
    done = plot("-c", config, "--bar-set", "dollar", "--symbol", "ETH-USD", "-o", picture)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{picture}: {bars_of(config, 'dollar', 'ETH-USD').height} bars\n"
    with Image.open(picture) as image:
        assert image.size[0] == 1800
    for colour in ((0x73, 0xB1, 0xD5), (0xE8, 0xA6, 0x73)):  # bodies of candles that rose and fell
        assert pixels_near(picture, colour) > 2000
    shade = (0xF8, 0xE4, 0xB8)
    plot("-c", config, "--bar-set", "dollar", "--symbol", "ETH-USD", "--until", "2026-06-09T04:08", "-o", before_gap)
    assert pixels_near(picture, shade) > 2000
    assert pixels_near(before_gap, shade) == 0


def test_a_page_tells_every_bar_and_asks_nobody(config: str, tmp_path: Path) -> None:
    path = tmp_path / "bars.html"
    done = plot("-c", config, "--bar-set", "dollar", "--bar-set", "time", "--symbol", "ETH/USD", "-o", path)
    assert done.returncode == 0, done.stderr
    text = path.read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\"' )]+", text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert "default-src 'none'" in text
    assert "<script" not in text
    for words in ("ETH-USD on kraken, 2026-06-09 04:00:0", "dollar-20000-", "time-60s-", "price, USD", "duration, s"):
        assert words in text
    svg = ET.fromstring(text[text.index("<svg", text.index('class="panel"')) : text.rindex("</svg>") + 6])
    told = {g.get("id"): g.findtext(f"{SVG}title") for g in svg.iter(f"{SVG}g") if g.get("id", "").startswith("bar-")}
    dollar, time = (bars_of(config, kind, "ETH-USD") for kind in ("dollar", "time"))
    assert list(told) == [f"bar-{n}-{row}" for n, bars in enumerate((dollar, time)) for row in range(bars.height)]
    for number, bar in enumerate(dollar.to_dicts()):
        first, _, prices, sizes = (told[f"bar-0-{number}"] or "").splitlines()
        assert first.startswith(f"bar {number}")
        assert ("spans a gap" in first, "partial" in first) == (bar["has_gap"], bar["is_partial"])
        shown = [float(word.replace(",", "")) for word in prices.split()[1::2]]
        assert shown == pytest.approx([bar[name] for name in ("open", "high", "low", "close")])
        assert sizes.startswith(f"{bar['tick_count']:,} trades, {bar['volume']:,.8g} ETH (buyers ")


def test_more_bars_than_can_be_told_apart_are_drawn_in_columns(config: str, tmp_path: Path) -> None:
    config = bars_lake(tmp_path, trades=60_000)
    path = tmp_path / "bars.html"
    assert plot("-c", config, "--bar-set", "tick", "--symbol", "ETH-USD", "-o", path).returncode == 0
    text = path.read_text(encoding="utf-8")
    assert "600 bars, 100 trades each; a column is 2 min" in text
    assert re.search(r"<title>bars 0 to [345]\n2026-06-09 04:00:0", text)
    assert len(re.findall('id="bar-0-', text)) < 200


def test_the_same_bars_give_the_same_files(config: str, tmp_path: Path) -> None:
    for name in ("bars.png", "bars.html"):
        one, other = tmp_path / name, tmp_path / f"again-{name}"
        for path in (one, other):
            assert plot("-c", config, "--bar-set", "time", "--exchange", "coinbase", "-o", path).returncode == 0
        assert one.read_bytes() == other.read_bytes()


def test_panels_of_several_markets_say_which(config: str, tmp_path: Path) -> None:
    path = tmp_path / "bars.html"
    assert plot("-c", config, "--bar-set", "time", "-o", path).returncode == 0
    text = path.read_text(encoding="utf-8")
    for market in ("BTC-USD on coinbaseadvanced", "BTC-USD on kraken", "ETH-USD on kraken"):
        assert f"bars of {market}, " in text


def test_a_file_of_bars_gives_the_picture_that_the_lake_gives(config: str, tmp_path: Path) -> None:
    bars = bars_of(config, "dollar", "ETH-USD")
    files = {suffix: tmp_path / f"bars.{suffix}" for suffix in ("parquet", "csv")}
    bars.write_parquet(files["parquet"])
    bars.write_csv(files["csv"])
    of_lake = tmp_path / "lake.html"
    assert plot("-c", config, "--bar-set", "dollar", "--symbol", "ETH-USD", "-o", of_lake).returncode == 0
    for path in files.values():
        of_file = tmp_path / "file.html"
        done = plot("--input", path, "-o", of_file)
        assert done.returncode == 0, done.stderr
        assert of_file.read_text() == of_lake.read_text()


def test_rows_that_an_export_filled_in_are_no_bars(config: str, tmp_path: Path) -> None:
    whole, plain = tmp_path / "whole.parquet", bars_of(config, "time", "ETH-USD").drop("bar_set", "exchange", "symbol")
    filled(plain, interval="1m", fill="null").write_parquet(whole)
    done = plot("-i", whole, "-o", tmp_path / "bars.html")
    assert done.stdout.endswith(f": {plain.height} bars\n"), done.stderr
    assert "<h1>2026-06-09 04:00:00 to " in (tmp_path / "bars.html").read_text()


def test_mistakes_get_one_line(config: str, tmp_path: Path) -> None:
    out, closed = tmp_path / "bars.png", tmp_path / "file"
    closed.touch()
    trades, torn = tmp_path / "trades.parquet", tmp_path / "torn.parquet"
    pl.DataFrame({"timestamp": [1], "price": [1.0]}).write_parquet(trades)
    torn.write_bytes(trades.read_bytes()[:-9])
    for arguments, *words in (
        (["--bar-set", "dolar-20000", "-o", out], "no bar set 'dolar-20000'", "nearest: dollar-20000-"),
        (["--bar-set", "time", "--symbol", "SOL-USD", "-o", out], "no symbol 'SOL-USD'"),
        (["--bar-set", "time", "--until", "2026-06-01", "-o", out], "no bars until 2026-06-01"),
        (["-i", torn, "-o", out], "torn.parquet: cannot be read"),
        (["-i", trades, "-o", out], "trades.parquet: no column 'bar_seq'"),
        (["--bar-set", "time", "-o", tmp_path / "bars.gif"], "bars.gif: pictures are .png or .html"),
        (["--bar-set", "time", "-o", tmp_path / "none" / "bars.png"], "cannot be written: no such file or directory"),
        (["--bar-set", "time", "-o", closed / "bars.html"], "cannot be written: not a directory"),
        (
            ["--bar-set", "time", "--bar-set", "tick", "--bar-set", "dollar", "-o", out],
            "9 panels would be drawn, at most 6 fit: coinbaseadvanced BTC-USD, kraken BTC-USD, kraken ETH-USD",
        ),
    ):
        done = plot(*([] if "-i" in arguments else ["-c", config]), *arguments)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        (line,) = done.stderr.splitlines()
        assert all(word in line for word in words), line
    assert not out.exists()


def test_without_the_library_a_line_says_how_to_get_it(config: str, tmp_path: Path) -> None:
    absent = "import sys; sys.modules['matplotlib'] = None; from scripts.cli import main; main(sys.argv[1:])"
    arguments = ["bars", "plot", "-c", config, "--bar-set", "time", "-o", str(tmp_path / "bars.png")]
    done = subprocess.run([sys.executable, "-c", absent, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "matplotlib, which is not installed. Install it, as `pip install matplotlib`" in line
