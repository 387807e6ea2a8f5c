"""`report.html`: the verdict, how every stream was captured, prices with their bars, and the tables. No network."""

from collections.abc import Iterator, Sequence
from html import escape
from importlib.metadata import version

import polars as pl

from scripts.demo.charts import price_chart, timeline
from scripts.demo.folder import DemoFolder
from scripts.demo.page import both, html_table, legend, page, tabs
from scripts.demo.run import Story
from scripts.demo.svg import clock
from scripts.demo.tables import by_bar_set, queries
from scripts.demo.timeline import DECLARED, LOST, Stretch, stretches
from scripts.demo.verdict import Evidence, Verdict
from shared.clock import utc_from_us

_WIDE, _NARROW = 1062, 540
_CAPTURE = [
    ("sent", "sent"),
    ("bronze", "in bronze"),
    ("copies", "came twice"),
    ("in_gaps", "in declared gaps"),
    ("missing", "missing"),
    ("altered", "altered"),
    ("silver", "in silver"),
]


def write_report(folder: DemoFolder, story: Story, *, evidence: Evidence, verdict: Verdict) -> None:
    """Write the report of a demo that has ended."""
    began = utc_from_us(story.began_us)
    parts = [
        f"<h1>Daedalus demo <span>{began:%Y-%m-%d %H:%M:%S} UTC, invented prices of a local exchange</span></h1>",
        _answer(verdict),
        _what_happened(story, verdict),
        *_timeline(evidence, story),
        *_streams(evidence),
        *_tables(evidence, verdict),
        *_ask(folder),
        _footer(story),
    ]
    folder.report.write_text(page("Daedalus demo", *parts), encoding="utf-8")


def _answer(verdict: Verdict) -> str:
    """The result, and the sum that proves it; where it does not hold, the counts without a claim."""
    total, gaps, sets = verdict.total, verdict.total("gaps"), len({bars.bar_set for bars in verdict.bars})
    good = verdict.nothing_lost
    declared = f"inside {gaps} declared {'gap' if gaps == 1 else 'gaps'}"
    numbers = [
        ("", total("sent"), "trades sent"),
        ("=" if good else "then", total("bronze"), "in bronze"),
        ("+" if good else "then", total("in_gaps"), declared),
        ("then", total("silver"), "in silver, each once" if good else "in silver"),
        ("then", sum(bars.bars for bars in verdict.bars), f"bars in {sets} sets{', sums exact' if good else ''}"),
    ]
    cells = ""
    for sign, number, words in numbers:
        cells += f"<i>{sign}</i>" if sign in {"=", "+"} else ""
        style = "then" if sign == "then" else ""
        cells += f'<div class="{style}"><b>{number:,}</b><small>{escape(words)}</small></div>'
    problems = "".join(f"<li>{escape(problem)}</li>" for problem in verdict.problems)
    return (
        f'<div class="verdict{"" if good else " bad"}"><strong>{"Nothing lost" if good else "Lost"}</strong>'
        f'{f"<ul>{problems}</ul>" if problems else ""}<div class="sum">{cells}</div></div>'
    )


def _what_happened(story: Story, verdict: Verdict) -> str:
    name, count = story.busiest
    whole = sum(not stream.gaps for stream in verdict.streams)
    return (
        f"<p>Two collectors, native for Coinbase and ccxt.pro for Kraken, captured {len(verdict.streams)} streams. At "
        f"{clock(story.killed_us)} UTC their process got <code>kill -9</code>; it was started again at "
        f"{clock(story.restarted_us)}, when {escape(name)} had made {count} more trades. On reconnect an exchange "
        f"sends the last 100 (Coinbase) or 50 (Kraken) trades of a symbol. That filled {whole} of "
        f"{len(verdict.streams)} streams whole; {verdict.total('in_gaps'):,} trades of the others were not captured, "
        "and each of those lies inside an id range that the gaps table declares.</p>"
    )


def _timeline(evidence: Evidence, story: Story) -> Iterator[str]:
    found = stretches(evidence)
    yield "<h2>Capture, stream by stream</h2>"
    yield (
        '<p class="soft">Every trade that the exchange made, at its exchange time. What came by snapshot is known '
        "only since the restart; its bars carry that as <code>known_at</code>.</p>"
    )
    keys = [
        ("live", "captured as it happened"),
        ("snapshot", "missed, filled by the snapshot on reconnect"),
        ("declared", "not captured, declared in an open gap"),
    ]
    if any(stretch.state == "lost" for rows in found.values() for stretch in rows):
        keys.append(("lost", "lost, declared nowhere"))
    charts = both(timeline(found, story, width=_WIDE), timeline(found, story, width=_NARROW))
    yield f'<div class="panel">{legend(*keys)}{charts}</div>'


def _streams(evidence: Evidence) -> Iterator[str]:
    yield "<h2>Prices and bars</h2>"
    yield (
        '<p class="soft">The line is every silver trade, broken where trades are missing. A candle is one dollar bar '
        "of 10,000 quote, as wide as it took to trade; dashed if it spans a gap. Hold the mouse over one for its exact "
        "numbers.</p>"
    )
    keys = legend(
        ("thin", "trades"),
        ("up", "closed up; buyers took"),
        ("down", "closed down; sellers took"),
        ("declared", "not captured"),
    )
    sections = []
    streams = sorted(stretches(evidence).items())
    found_by_stream = [found for _, found in streams]
    for (exchange, symbol), found in streams:
        here = (pl.col("exchange") == exchange) & (pl.col("symbol") == symbol)
        trades, bars = evidence.silver.filter(here).sort("ordinal"), evidence.bars.filter(here).sort("bar_seq")
        charts = [price_chart(trades, bars, found, width=width) for width in (_WIDE, _NARROW)]
        sections.append((f"{exchange} {symbol}", f'<div class="panel">{keys}{both(charts[0], charts[1])}</div>'))
    most_missing = max(range(len(sections)), key=lambda n: _missing(found_by_stream[n]), default=0)
    yield tabs("stream", sections, chosen=most_missing)


def _missing(found: Sequence[Stretch]) -> tuple[int, int]:
    """How much a stream has to tell: trades lost, then trades in gaps."""
    lost, declared = (sum(each.trades for each in found if each.state == state) for state in (LOST, DECLARED))
    return lost, declared


def _tables(evidence: Evidence, verdict: Verdict) -> Iterator[str]:
    yield "<h2>Every stage, counted</h2>"
    rows = []
    for stream in verdict.streams:
        values = [getattr(stream, name) for name, _ in _CAPTURE]
        counts = [len(value) if isinstance(value, tuple) else value for value in values]
        rows.append([stream.name, *(f"{count:,}" for count in counts), _mark(not list(stream.problems()))])
    totals = [sum(int(row[column].replace(",", "")) for row in rows) for column in range(1, len(_CAPTURE) + 1)]
    rows.append(["all", *(f"{total:,}" for total in totals), _mark(verdict.nothing_lost)])
    yield html_table(["stream", *(title for _, title in _CAPTURE), ""], rows, has_total=True)
    yield "<h2>Bars</h2>"
    rows = []
    for name, parts in sorted(by_bar_set(verdict).items()):
        exact = sum(part.is_exact for part in parts)
        equal = f"equal in {exact} of {len(parts)} {_mark(exact == len(parts))}"
        counts = [len(parts), sum(part.bars for part in parts), sum(part.trades for part in parts)]
        rows.append([name, *(f"{count:,}" for count in counts), equal])
    yield html_table(["bar set", "streams", "bars", "trades in them", "exact volume and value"], rows)
    yield "<h2>Gaps</h2>"
    columns = ["exchange", "symbol", "cause", "status", "prev_id", "next_id", "rows_lost"]
    gaps = evidence.gaps.select(columns).sort("status", "exchange", "symbol", descending=[True, False, False])
    shown = [[_text(value) for value in row] for row in gaps.iter_rows()]
    titles = ["exchange", "symbol", "cause", "status", "stood at id", "went on at id", "missing"]
    yield html_table(titles, shown, words=4)
    yield '<p class="soft">A gap that was filled goes on at an id the snapshot repeated.</p>'


def _ask(folder: DemoFolder) -> Iterator[str]:
    yield "<h2>Ask the lake yourself</h2>"
    for query in queries(folder):
        yield f"<p>{escape(query.title)}</p><pre>{escape(query.command)}</pre>"


def _footer(story: Story) -> str:
    return (
        f"<footer>Daedalus {escape(version('daedalus-lake'))}. Local exchange: seed {story.seed}, {story.rate:g} "
        f"market moments per second and venue, {story.seconds:g} s of capture. “Sent” is the exchange's own log; "
        "bronze, silver and bars were read back from the Parquet files. Prices, amounts, times and sides were compared "
        "one by one, "
        "sums as exact decimals.</footer>"
    )


def _text(value: object) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _mark(good: bool) -> str:
    return "✓" if good else "✗"
