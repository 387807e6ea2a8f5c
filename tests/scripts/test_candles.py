"""Candles by settings: kept without being asked for, asked for by name, refused by name."""

from pathlib import Path

import polars as pl
import pytest

from scripts import cli
from shared.partitioning import Lake
from tests.etl.core.test_streams import Recorder, market, silver_of

SETTINGS = """
etl: {{{etl}}}
storage: {{paths: {{raw_dir: "{root}/raw", processed_dir: "{root}/processed", state_dir: "{root}/state"}}}}
logging: {{level: error}}
"""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A stream of four minutes, and one file of candles that an exchange sent."""
    lake = Lake.under(tmp_path)
    Recorder(lake, "kraken").record([market(1, exchange="kraken", trades=300)])
    folder = lake.ready / "native" / "candles"
    folder.mkdir(parents=True)
    pl.DataFrame({"sent_by": ["the exchange"]}).write_parquet(folder / "rows.parquet")
    return lake


def run(lake: Lake, capsys: pytest.CaptureFixture[str], *arguments: str, etl: str = "lateness_s: 1") -> tuple[int, str]:
    file = lake.raw.parent / "config.yaml"
    file.write_text(SETTINGS.format(root=lake.raw.parent, etl=etl))
    with pytest.raises(SystemExit) as stopped:
        cli.main([*arguments, "--config", str(file)])
    out, err = capsys.readouterr()
    return int(stopped.value.code or 0), out + err


def test_the_ladder_is_kept_unasked_and_has_a_name_beside_the_exchanges(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = run(lake, capsys, "watch", "--end-of-data")
    assert code == 0
    assert " candles-1m" in said
    sql = "select interval, sum(tick_count) as trades, sum(volume_exact) as volume from gold_candles group by all"
    code, out = run(lake, capsys, "query", sql, "--csv")
    assert code == 0
    sums = {interval: rest for interval, _, rest in (line.partition(",") for line in out.splitlines()[1:])}
    assert sorted(sums) == sorted(["1m", "5m", "15m", "30m", "1h", "4h", "12h", "1d", "1w"])
    assert len(set(sums.values())) == 1
    assert sums["1w"].startswith(f"{silver_of(lake).height},")
    assert run(lake, capsys, "query", "select sent_by from candles", "--csv") == (0, "sent_by\nthe exchange\n")


def test_intervals_are_chosen_or_none(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    run(lake, capsys, "watch", "--once", etl="candles: {intervals: []}")
    assert not lake.candles("1m").parent.exists()
    run(lake, capsys, "watch", "--once", etl="candles: {intervals: [30s, 90s]}")
    assert sorted(path.name for path in lake.candles("1m").parent.iterdir()) == ["interval=30s", "interval=90s"]


@pytest.mark.parametrize(
    ("intervals", "said"),
    [
        ("[1m, 60s]", "etl.candles.intervals: intervals name 1m more than once"),
        ("[1m, 5x]", "etl.candles.intervals: interval must be"),
        ("[0s]", "etl.candles.intervals: interval must be"),
        ("5m", "etl.candles.intervals: found the text '5m'"),
    ],
)
def test_what_is_no_ladder_is_refused_in_one_line(
    lake: Lake, capsys: pytest.CaptureFixture[str], intervals: str, said: str
) -> None:
    for command in (["watch", "--once"], ["config", "check"]):
        code, out = run(lake, capsys, *command, etl=f"candles: {{intervals: {intervals}}}")
        assert code == 2
        assert said in out
