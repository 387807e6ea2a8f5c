"""The demo's plot: an exchange, a collector that is killed half-way, a restart, a watcher, and an orderly end."""

from collections import Counter
from dataclasses import dataclass

import msgspec

from ingestion.simulator import read_truth
from scripts.demo.evidence import VENUES
from scripts.demo.folder import SYMBOLS, DemoFolder
from scripts.demo.processes import Child, ChildFailed, Children
from scripts.demo.screen import Screen, read_beat
from shared.clock import SystemClock

OUTAGE_TRADES = 105  # the exchanges send 100 (Coinbase) and 50 (Kraken) old trades to a client that comes back
_OUTAGE_S_MAX = 30.0
_START_S_MAX = 60.0
_END_S_MAX = 60.0
_ROWS_BEFORE_KILL = 20  # trades per feed, on the disk: else there is nothing to resume from


@dataclass(frozen=True)
class Plan:
    """What the user chose."""

    seconds: float  # of capture, the outage not counted
    rate: float
    seed: int


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """What was done and when, wall clock in microseconds; written as `run.json`."""

    seconds: float
    rate: float
    seed: int
    began_us: int
    killed_us: int
    restarted_us: int
    closed_us: int
    ended_us: int
    passed: dict[str, int]  # trades that each stream made between the kill and the restart

    @property
    def busiest(self) -> tuple[str, int]:
        """The stream with the most trades between kill and restart."""
        return max(self.passed.items(), key=lambda item: item[1], default=("no stream", 0))


def perform(plan: Plan, folder: DemoFolder, screen: Screen) -> Story:
    """Play it; when this returns, no process of it is left.

    Raises: ChildFailed where one of them ended by itself or did not do its part.
    """
    with screen.shown(), Children(folder, while_waiting=screen.tick) as children:
        exchange = _open_exchange(plan, children, folder, screen)
        began_us = _now_us()
        collector = children.start("collector", "ingest", "-c", str(folder.config), log="ingest-1")
        watcher = children.start("watcher", "watch", "-c", str(folder.config), log="watch")
        _await_trades(children, folder, collector)
        screen.stage("both venues trade; collector and watcher are at work", length_s=plan.seconds / 2)
        children.wait(lambda: False, within_s=plan.seconds / 2)
        _await_rows(children, folder, collector)
        killed_us, passed = _outage(children, collector, folder, screen)
        restarted_us = _now_us()
        collector = children.start("restarted collector", "ingest", "-c", str(folder.config), log="ingest-2")
        screen.stage("collector restarted: it recovers its journal and takes up each stream where it stood")
        _await_rows(children, folder, collector)
        screen.stage("capturing again", length_s=plan.seconds / 2)
        children.wait(lambda: False, within_s=plan.seconds / 2)
        closed_us = _now_us()
        _close(children, folder, screen, exchange=exchange, collector=collector)
        _refine(children, folder, screen, watcher=watcher)
    story = Story(
        seconds=plan.seconds,
        rate=plan.rate,
        seed=plan.seed,
        began_us=began_us,
        killed_us=killed_us,
        restarted_us=restarted_us,
        closed_us=closed_us,
        ended_us=_now_us(),
        passed=passed,
    )
    folder.story.write_bytes(msgspec.json.format(msgspec.json.encode(story)))
    return story


def _open_exchange(plan: Plan, children: Children, folder: DemoFolder, screen: Screen) -> Child:
    screen.stage("local exchange: Coinbase's and Kraken's wire protocols, invented prices")
    files = ["--ready-file", str(folder.ready_file), "--truth-log", str(folder.truth_log)]
    market = ["--rate", str(plan.rate), "--seed", str(plan.seed), "--symbols", ",".join(SYMBOLS)]
    exchange = children.start("local exchange", "simulate", *files, *market, log="exchange")
    if not children.wait(folder.ready_file.exists, within_s=_START_S_MAX):
        raise ChildFailed("local exchange", "did not start to listen", folder.log("exchange"))
    addresses = folder.addresses()
    assert addresses is not None
    folder.write_settings(addresses)
    return exchange


def _await_trades(children: Children, folder: DemoFolder, collector: Child) -> None:
    """Wait until every venue trades, which it does when the collector has subscribed."""

    def trading() -> bool:
        return all(read_truth(folder.truth_log).count(venue) for venue in VENUES)

    if not children.wait(trading, within_s=_START_S_MAX):
        raise ChildFailed("collector", "subscribed to nothing", collector.log)


def _await_rows(children: Children, folder: DemoFolder, collector: Child) -> None:
    """Wait until this collector says that every feed of it delivers, and that what came is safe."""

    def delivering() -> bool:
        beat = read_beat(folder)
        if beat is None or beat.pid != collector.pid:
            return False
        tables = [channels.get("trades") for channels in beat.channels.values()]
        return all(table is not None and table.rows_synced >= _ROWS_BEFORE_KILL for table in tables)

    if not children.wait(delivering, within_s=_START_S_MAX):
        raise ChildFailed(collector.name, "captured nothing", collector.log)


def _outage(children: Children, collector: Child, folder: DemoFolder, screen: Screen) -> tuple[int, dict[str, int]]:
    """Kill the collector and let the exchange go on without it until the snapshots cannot cover everything."""
    before = _made(folder)
    killed_us = _now_us()
    children.kill(collector)
    screen.stage(f"kill -9 to the collector; the exchange goes on until one symbol has made {OUTAGE_TRADES} trades")
    passed: Counter[str] = Counter()

    def enough() -> bool:
        passed.update(_made(folder) - before - passed)
        return max(passed.values(), default=0) >= OUTAGE_TRADES

    children.wait(enough, within_s=_OUTAGE_S_MAX)
    return killed_us, dict(passed)


def _made(folder: DemoFolder) -> Counter[str]:
    truth = read_truth(folder.truth_log)
    return Counter(
        {f"{venue} {name}": len(truth.trades(venue, name)) for venue in VENUES for name in truth.symbols(venue)}
    )


def _close(children: Children, folder: DemoFolder, screen: Screen, *, exchange: Child, collector: Child) -> None:
    """Stop the market first: what it has made is sent, and the collector must have it all before it is stopped."""
    screen.stage("the exchange closes its market, sends what has happened, and goes")
    beat = read_beat(folder)
    sessions = {name: feed.sessions for name, feed in beat.feeds.items()} if beat else {}
    children.finish(exchange, within_s=_END_S_MAX)

    def heard_the_end() -> bool:
        beat = read_beat(folder)
        return beat is not None and all(feed.sessions > sessions.get(name, 0) for name, feed in beat.feeds.items())

    if not children.wait(heard_the_end, within_s=_END_S_MAX):
        raise ChildFailed(collector.name, "did not notice that the exchange has gone", collector.log)
    screen.stage("SIGTERM to the collector: it writes, syncs and seals everything")
    children.finish(collector, within_s=_END_S_MAX)


def _refine(children: Children, folder: DemoFolder, screen: Screen, *, watcher: Child) -> None:
    screen.stage("the watcher ends; `daedalus watch --once --end-of-data` closes the last bars")
    children.finish(watcher, within_s=_END_S_MAX)
    last = children.start("watcher", "watch", "-c", str(folder.config), "--once", "--end-of-data", log="watch-end")
    children.finish(last, within_s=2 * _END_S_MAX, ask=False)


def _now_us() -> int:
    return SystemClock().wall_ns() // 1000
