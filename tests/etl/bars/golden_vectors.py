"""The golden vectors of the specification, section 11, word for word."""

from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from tests.etl.bars.reference import Trade

_LITERAL = {"preset": "afml_literal", "expected_ticks_init": 4, "ewma_window": 3, "imbalance_window": 3}
_GUARDED = {"expected_ticks_init": 4, "ewma_window": 3, "imbalance_window": 3, "floor_k": 1}

BARS: dict[str, tuple[str, dict[str, Any]]] = {
    "G1": ("time", {"interval": 60}),
    "G2": ("tick", {"threshold": 5}),
    "G3": ("volume", {"threshold": 10}),
    "G4": ("dollar", {"threshold": 1205.5}),
    "G5": ("dollar", {"threshold": "900"}),
    "G6": ("tick_imbalance", _LITERAL),
    "G7": ("volume_imbalance", _LITERAL),
    "G8": ("dollar_imbalance", _LITERAL),
    "G9": ("volume_imbalance", _GUARDED | {"expected_ticks": "ema", "bounds": (2, 8), "max_ticks": 6}),
    "G10": ("tick_run", _LITERAL),
    "G11": ("volume_run", _LITERAL),
    "G12": ("dollar_run", _LITERAL),
    "G13": ("tick_imbalance", _LITERAL),
    "G14": ("volume_imbalance", _GUARDED | {"preset": "guarded", "max_ticks": 40}),
    "G15": ("tick_run", {"expected_ticks": "const", "expected_ticks_init": 4, "ewma_window": 3}),
}
WITHOUT_SIDES = {"G13"}

# id, second, price, size, side, and the sign by the tick rule alone
_TRADES = [
    (1, 0, "100", "2", "buy", 0), (2, 5, "100.5", "1", "buy", 1), (3, 12, "100", "3", "sell", -1),
    (4, 12, "100.5", "2", "buy", 1), (5, 31, "101", "4", "buy", 1), (6, 44, "101", "1", "buy", 1),
    (7, 59, "100.5", "2", "sell", -1), (8, 60, "100.5", "5", "sell", -1), (9, 61, "101", "1", "buy", 1),
    (10, 75, "101.5", "2", "buy", 1), (11, 88, "101.5", "1", "buy", 1), (12, 102, "101", "6", "sell", -1),
    (13, 119, "101", "1", "sell", -1), (14, 240, "101.5", "2", "buy", 1), (15, 241, "102", "3", "buy", 1),
    (16, 241, "102", "1", "sell", 1), (17, 250, "101.5", "2", "sell", -1), (18, 260, "101", "4", "sell", -1),
    (19, 299, "101.5", "1", "buy", 1), (20, 305, "102", "2", "buy", 1),
]  # fmt: skip
TICK_RULE = [sign for *_, sign in _TRADES]

TABLES = """
G1: time, step 60 s, origin 0
seq trades O H L C volume dollar n buy_vol reason start end
0 1–7 100 101 100 100.5 15 1507.5 7 10 time 0 60
1 8–13 100.5 101.5 100.5 101 16 1615 6 4 time 60 120
2 14–19 101.5 102 101 101.5 13 1319.5 6 6 time 240 300
3 20–20 102 102 102 102 2 204 1 2 flush – –

G2: tick, N=5
seq trades O H L C volume dollar n buy_vol reason
0 1–5 100 101 100 101 12 1205.5 5 9 threshold
1 6–10 101 101.5 100.5 101.5 11 1108.5 5 4 threshold
2 11–15 101.5 102 101 102 13 1317.5 5 6 threshold
3 16–20 102 102 101 102 10 1014.5 5 3 threshold

G3: volume, V=10 (bars 2 and 3 meet it exactly: the `>=` test)
seq trades O H L C volume dollar n buy_vol reason
0 1–5 100 101 100 101 12 1205.5 5 9 threshold
1 6–10 101 101.5 100.5 101.5 11 1108.5 5 4 threshold
2 11–14 101.5 101.5 101 101.5 10 1011.5 4 3 threshold
3 15–18 102 102 101 101 10 1015 4 3 threshold
4 19–20 101.5 102 101.5 102 3 305.5 2 3 flush

G4: dollar, D=1205.5 (bar 0 meets it exactly)
seq trades O H L C volume dollar n buy_vol reason
0 1–5 100 101 100 101 12 1205.5 5 9 threshold
1 6–11 101 101.5 100.5 101.5 12 1210 6 5 threshold
2 12–15 101 102 101 102 12 1216 4 5 threshold
3 16–20 102 102 101 102 10 1014.5 5 3 flush

G5: dollar, D=900
seq trades O H L C volume dollar n buy_vol reason
0 1–5 100 101 100 101 12 1205.5 5 9 threshold
1 6–9 101 101 100.5 101 9 905.5 4 2 threshold
2 10–12 101.5 101.5 101 101 9 910.5 3 3 threshold
3 13–17 101 102 101 101.5 9 915 5 5 threshold
4 18–20 101 102 101 102 7 709.5 3 3 flush

G6: TIB, preset `afml_literal`, E0=4, ewma_window=3, imbalance_window=3
seq trades O H L C volume dollar n buy_vol reason theta threshold ET_next Eb next_threshold
0 1–4 100 100.5 100 100.5 8 801.5 4 5 warmup 2 – 4 7/15 28/15
1 5–6 101 101 101 101 5 505 2 5 threshold 2 28/15 3 55/63 55/21
2 7–20 100.5 102 100.5 102 33 3339.5 14 12 flush – – – – –

G7: VIB, preset `afml_literal`, E0=4, 3, 3
seq trades O H L C volume dollar n buy_vol reason theta threshold ET_next Eb next_threshold
0 1–4 100 100.5 100 100.5 8 801.5 4 5 warmup 2 – 4 8/15 32/15
1 5–5 101 101 101 101 4 404 1 4 threshold 4 32/15 2.5 72/31 180/31
2 6–8 101 101 100.5 100.5 8 804.5 3 1 threshold -6 180/31 2.75 -664/255 1826/255
3 9–20 101 102 101 102 26 2636 12 12 flush – – – – –

G8: DIB, preset `afml_literal`, E0=4, 3, 3
seq trades O H L C volume dollar n buy_vol reason theta threshold ET_next Eb next_threshold
0 1–4 100 100.5 100 100.5 8 801.5 4 5 warmup 201.5 – 4 809/15 3236/15
1 5–5 101 101 101 101 4 404 1 4 threshold 404 3236/15 2.5 7273/31 36365/62
2 6–8 101 101 100.5 100.5 8 804.5 3 1 threshold -602.5 36365/62 2.75 -66679/255 733469/1020
3 9–20 101 102 101 102 26 2636 12 12 flush – – – – –

G9: VIB, ema with guards: E0=4, 3, 3, bounds=(2,8), floor_k=1, max_ticks=6
seq trades O H L C volume dollar n buy_vol reason theta threshold ET_next Eb next_threshold
0 1–4 100 100.5 100 100.5 8 801.5 4 5 warmup 2 – 4 8/15 4.442221666388715
1 5–6 101 101 101 101 5 505 2 5 threshold 5 4.442221666388715 3 104/63 4.9523809523809526
2 7–8 100.5 100.5 100.5 100.5 7 703.5 2 0 threshold -7 4.9523809523809526 2.5 -664/255 6.509803921568627
3 9–14 101 101.5 101 101.5 13 1315.5 6 6 max_ticks -1 6.509803921568627 4.25 1640/16383 5.526575106849288
4 15–20 102 102 101 102 13 1320.5 6 6 max_ticks -1 5.526575106849288 5.125 16424/25575 4.9516499022692635

G10: TRB, preset `afml_literal`, E0=4, 3, 3 (bar 1 meets it exactly)
seq trades O H L C volume dollar n buy_vol reason theta_buy theta_sell threshold P ET_next next_threshold
0 1–4 100 100.5 100 100.5 8 801.5 4 5 warmup 3 1 – 0.75 4 3
1 5–9 101 101 100.5 101 13 1309.5 5 6 threshold 3 2 3 0.65 4.5 2.925
2 10–14 101.5 101.5 101 101.5 12 1214.5 5 5 threshold 3 2 2.925 87/140 4.75 1653/560
3 15–18 102 102 101 101 10 1015 4 3 threshold 1 3 1653/560 127/300 4.375 1211/480
4 19–20 101.5 102 101.5 102 3 305.5 2 3 flush – – – – – –

G11: VRB, preset `afml_literal`, E0=4, 3, 3
seq trades O H L C volume dollar n buy_vol reason theta_buy theta_sell threshold P ET_next next_threshold
0 1–4 100 100.5 100 100.5 8 801.5 4 5 warmup 5 3 – 0.75 4 36/7
1 5–8 101 101 100.5 100.5 12 1208.5 4 5 threshold 5 7 36/7 7/12 4 45/7
2 9–13 101 101.5 101 101 11 1112.5 5 4 threshold 4 7 45/7 83/140 4.5 6669/1240
3 14–18 101.5 102 101 101 12 1218 5 5 threshold 5 7 6669/1240 0.49 4.75 7.2485
4 19–20 101.5 102 101.5 102 3 305.5 2 3 flush – – – – – –

G12: DRB, preset `afml_literal`, E0=4, 3, 3
seq trades O H L C volume dollar n buy_vol reason theta_buy theta_sell threshold P ET_next next_threshold
0 1–4 100 100.5 100 100.5 8 801.5 4 5 warmup 501.5 300 – 0.75 4 3615/7
1 5–8 101 101 100.5 100.5 12 1208.5 4 5 threshold 505 703.5 3615/7 7/12 4 4520/7
2 9–13 101 101.5 101 101 11 1112.5 5 4 threshold 405.5 707 4520/7 83/140 4.5 18981/35
3 14–18 101.5 102 101 101 12 1218 5 5 threshold 509 709 18981/35 0.49 4.75 732.868
4 19–20 101.5 102 101.5 102 3 305.5 2 3 flush – – – – – –

G13: TIB on the tick rule (sides hidden), preset `afml_literal`, E0=4, 3, 3
seq trades O H L C volume dollar n buy_vol reason theta threshold ET_next Eb next_threshold
0 1–4 100 100.5 100 100.5 8 801.5 4 3 warmup 1 – 4 0.4 1.6
1 5–6 101 101 101 101 5 505 2 5 threshold 2 1.6 3 6/7 18/7
2 7–20 100.5 102 100.5 102 33 3339.5 14 13 flush – – – – –

G14: VIB, preset `guarded` (const E[T]), E0=4, imbalance_window=3, floor_k=1, max_ticks=40
seq trades O H L C volume dollar n buy_vol reason theta threshold ET_next Eb next_threshold
0 1–4 100 100.5 100 100.5 8 801.5 4 5 warmup 2 – 4 8/15 4.442221666388715
1 5–6 101 101 101 101 5 505 2 5 threshold 5 4.442221666388715 4 104/63 6.603174603174603
2 7–8 100.5 100.5 100.5 100.5 7 703.5 2 0 threshold -7 6.603174603174603 4 -664/255 10.415686274509804
3 9–20 101 102 101 102 26 2636 12 12 flush – – – – –

G15: TRB, const E[T], E0=4, ewma_window=3
seq trades O H L C volume dollar n buy_vol reason theta_buy theta_sell threshold P ET_next next_threshold
0 1–4 100 100.5 100 100.5 8 801.5 4 5 warmup 3 1 – 0.75 4 3
1 5–9 101 101 100.5 101 13 1309.5 5 6 threshold 3 2 3 0.65 4 2.6
2 10–14 101.5 101.5 101 101.5 12 1214.5 5 5 threshold 3 2 2.6 87/140 4 87/35
3 15–18 102 102 101 101 10 1015 4 3 threshold 1 3 87/35 127/300 4 173/75
4 19–20 101.5 102 101.5 102 3 305.5 2 3 flush – – – – – –
"""


class Golden(NamedTuple):
    """One row: `shown` by column name, and what is `frozen` for the bar after it: the next threshold and so on."""

    first_id: str
    last_id: str
    close_reason: str
    shown: dict[str, Fraction]
    frozen: dict[str, Fraction]  # of the bar after it


_SHOWN = {
    "seq": "bar_seq", "O": "open", "H": "high", "L": "low", "C": "close", "volume": "volume",
    "dollar": "dollar_volume", "n": "tick_count", "buy_vol": "buy_volume", "theta": "theta",
    "theta_buy": "theta_buy", "theta_sell": "theta_sell", "threshold": "threshold",
}  # fmt: skip
_FROZEN = {"ET_next": "expected_ticks", "Eb": "expected_imbalance", "P": "p_buy", "next_threshold": "threshold"}
_SECONDS = {"start": "time_start", "end": "time_end"}


def golden(*, with_sides: bool = True) -> list[Trade]:
    """The twenty trades."""
    return [
        Trade(str(n), second * 1_000_000, Decimal(price), Decimal(size), side if with_sides else None, trade_seq=n)
        for n, second, price, size, side, _ in _TRADES
    ]


def vectors() -> dict[str, list[Golden]]:
    """The tables by name."""
    out = {}
    for table in TABLES.strip().split("\n\n"):
        title, head, *lines = table.splitlines()
        names = head.split()
        out[title.split(":")[0]] = [_golden(dict(zip(names, line.split(), strict=True))) for line in lines]
    return out


def _golden(cells: dict[str, str]) -> Golden:
    first_id, last_id = cells["trades"].split("–")
    cells = {name: cell for name, cell in cells.items() if cell != "–"}
    shown = {_SHOWN[name]: Fraction(cell) for name, cell in cells.items() if name in _SHOWN}
    shown |= {_SECONDS[name]: Fraction(cell) * 1_000_000 for name, cell in cells.items() if name in _SECONDS}
    frozen = {_FROZEN[name]: Fraction(cell) for name, cell in cells.items() if name in _FROZEN}
    return Golden(first_id, last_id, cells["reason"], shown, frozen)
