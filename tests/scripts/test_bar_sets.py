"""Bar sets of the settings: the builders say what is right, the settings say where it is wrong."""

import re
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest

from config.config import load_config
from config.problems import SettingsRefused
from config.section import Number
from config.sources import EXAMPLE
from etl.bars import bar_set_id, bar_types, new_bars
from scripts.bar_sets import SetRefused, bar_sets, described, parameters_of
from shared.partitioning import Lake

NONSENSE = [
    None, True, False, "", " ", "x", "1 minute", "-1", "nan", "inf", "1e999999999", 0, -1, 0.5, -0.5, 10**400, 1e308,
    float("nan"), float("inf"), [], [1], [1, "x"], [3, 1], {}, {"a": 1}, Number.of_text("0.1", 0.1), Decimal(0),
]  # fmt: skip
EXAMPLES = {bars.type: dict(bars.params) for bars in bar_sets(load_config(EXAMPLE, environment={}))}


def loaded(folder: Path, bars: str) -> tuple:
    file = folder / "config.yaml"
    file.write_text(f"etl: {{bars: {bars}}}")
    return bar_sets(load_config(file, environment={}))


def test_the_example_shows_every_type():
    assert set(EXAMPLES) == set(bar_types())


@pytest.mark.parametrize(
    ("bars", "line"),
    [
        (
            "[{type: tick, threshold: 5, tresholds: 3}]",
            "etl.bars[0].tresholds: unknown key for `type: tick`, did you mean `threshold`?",
        ),
        (
            "[{type: time, interval: 1m}, {type: volume, threshold: 1}, {type: tick, threshold: many}]",
            "etl.bars[2].threshold: found the text 'many', expected a number",
        ),
        (
            "[{type: dollar, threshold: 0}]",
            "etl.bars[0].threshold: found 0, expected positive and finite",
        ),
        (
            "[{type: tick, threshold: 1.5}]",
            "etl.bars[0].threshold: found 1.5, expected a whole number of trades",
        ),
        ("[{type: tick, interval: 1m, threshold: 5}]", "etl.bars[0].interval: unknown key for `type: tick`"),
        ("[{type: tick, threshold: 5, state: x}]", "etl.bars[0].state: unknown key for `type: tick`"),
        ("[{type: time}]", "etl.bars[0].interval: found nothing, expected a value"),
        (
            "[{type: time, interval: 1 minute}]",
            "etl.bars[0].interval: found the text '1 minute', expected positive seconds or text such as '1m'",
        ),
        ("[{type: renko}]", "etl.bars[0].type: found the text 'renko', expected one of "),
        (
            "[{type: time, interval: 1m}, {type: tick, threshold: 5}, {type: tick, threshold: 5.0}]",
            "etl.bars[2]: the same bars as etl.bars[1], expected each set once: join their symbols",
        ),
    ],
)
def test_one_mistake_is_one_line(tmp_path, bars, line):
    with pytest.raises(SettingsRefused) as refused:
        loaded(tmp_path, bars)
    assert len(refused.value.problems) == 1
    assert refused.value.line().startswith(line)


def test_all_mistakes_are_told_at_once(tmp_path):
    with pytest.raises(SettingsRefused) as refused:
        loaded(tmp_path, "[{type: tick, threshold: 0}, {type: tick, threshold: 5}, {type: nick}]")
    assert [problem.partition(":")[0] for problem in refused.value.problems] == [
        "etl.bars[0].threshold",
        "etl.bars[2].type",
    ]


def test_ids_name_folders_and_differ_where_bars_do():
    many = {
        "expected_ticks_init": 1000,
        "ewma_window": 20,
        "bounds": (100, "1e30"),
        "max_ticks": 10**15,
        "floor_k": 1.5,
    }
    many |= {"imbalance_window": 777, "init_imbalance": "-0.123456789", "on_gap": "close", "gap_reset_s": 60}
    sets: list = list(EXAMPLES.items())
    sets += [("dollar_imbalance", {name: many[name] for name in list(many)[:count]}) for count in range(1, 10)]
    sets += [("dollar", {"threshold": "adv_fraction"}), ("dollar", {"threshold": "0." + "123" * 10, "carry": "phase"})]
    ids = [bar_set_id(kind, params) for kind, params in sets]
    assert len({*ids}) == len({(kind, new_bars(kind, **params).params_hash()) for kind, params in sets})
    for name in ids:
        assert re.fullmatch(r"[a-z][A-Za-z0-9._-]{5,130}", name)
        assert Lake.under(Path("x")).bars(name).name == f"bar_set={name}"


@pytest.mark.parametrize("kind", bar_types())
def test_a_builder_refuses_nonsense_by_the_name_of_the_parameter(kind):
    for name in parameters_of(kind):
        for value in NONSENSE:
            with suppress(SetRefused):
                bar_set = described(kind, {**EXAMPLES[kind], name: value})
                new_bars(kind, **bar_set.params)
                continue
            with pytest.raises(SetRefused) as refused:
                described(kind, {**EXAMPLES[kind], name: value})
            assert refused.value.name in parameters_of(kind), (name, value, refused.value.problem)


@pytest.mark.parametrize(
    ("written", "exact"),
    [
        ("0.1", "0.1"),
        ("1000000.123456789012345678", "1000000.123456789012345678"),
        ("'1000000.123456789012345678'", "1000000.123456789012345678"),
        ("12345678901234567890", "12345678901234567890"),
        ("1e6", "1000000"),
        ("1.0e6", "1000000"),
    ],
)
def test_thresholds_keep_every_digit(tmp_path, written, exact):
    (bar_set,) = loaded(tmp_path, f"[{{type: dollar, threshold: {written}}}]")
    assert new_bars(bar_set.type, **bar_set.params).params["threshold"] == exact


def test_filters_use_the_names_of_the_lake(tmp_path):
    (bar_set,) = loaded(tmp_path, "[{type: time, interval: 1m, symbols: [BTC/USD], exchanges: [coinbase, kraken]}]")
    assert bar_set.where.symbols == ("BTC-USD",)
    assert bar_set.where.exchanges == ("coinbaseadvanced", "kraken")
