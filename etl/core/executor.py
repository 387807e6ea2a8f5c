"""`TransformExecutor`: finds what is new, plans it per stream, and runs the streams here or in other processes."""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from functools import partial
from typing import Any, Self

import msgspec
from filelock import FileLock

from etl.bars.ladder import rungs
from etl.core.config import BarSet, EtlOptions, FeatureConfig, FilterSpec, StreamKey
from etl.core.positions import Positions
from etl.core.streams import StreamResult, run_stream
from shared.partitioning import Lake
from storage.locks import hold, watcher_lock
from storage.published import Published, log_paths, read_log


class TransformExecutor:
    """Brings silver and gold up to what is published. One executor per lake: streams are not shared between two."""

    def __init__(self, options: EtlOptions, *, workers: Executor | None = None) -> None:
        self._options, self._workers = options, workers
        self._folder = options.lake.refining
        self._path = self._folder / "positions.json"
        self._caught_up = False
        options.disk.make_dirs(self._folder)
        self._lock = lock_of(options.lake, hint="One watcher per lake: stop it, or set storage.paths")

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """An executor from plain values.

        Args:
            config: `root` (a lake's folder) or `lake` (a `Lake`), and optionally `lateness_s`, `checkpoint_keep_days`,
                `exchanges`, `symbols`, `candles`, a list of intervals, `bars`, a list of
                `{"type": ..., "threshold" | "interval": ...}`, and `features`, the fields of `FeatureConfig`.
        """
        names = "root lake lateness_s checkpoint_keep_days exchanges symbols candles bars features"
        known = set(names.split())
        if unknown := sorted(set(config) - known):
            raise ValueError(f"unknown keys {unknown}; there are {sorted(known)}")
        bars = [dict(bar_set) for bar_set in config.get("bars", ())]
        sets = tuple(BarSet(bar_set.pop("type"), bar_set) for bar_set in bars)
        where = FilterSpec(tuple(config.get("exchanges", ())), tuple(config.get("symbols", ())))
        options = EtlOptions(
            config.get("lake") or Lake.under(config["root"]),
            lateness_s=config.get("lateness_s", 10.0),
            checkpoint_keep_days=config.get("checkpoint_keep_days", 7),
            candles=tuple(rungs(config.get("candles", ()))),
            bars=sets,
            features=FeatureConfig.of(config.get("features", {})),
            only=where,
        )
        return cls(options)

    def run(self, *, full_scan: bool = False, end_of_data: bool = False) -> list[StreamResult]:
        """Process everything published since the last run.

        Args:
            full_scan: look at every published file again; streams pass over what they have consumed.
            end_of_data: nothing will come any more for these streams: close what is open.
        """
        filtered = self._options.only != FilterSpec()  # what it leaves out must stay new for others
        positions = {} if full_scan or filtered else self._positions()
        plan, after = self._plan(positions)
        if not self._caught_up or end_of_data:
            for key in self._known_streams():  # settings may ask for more than when they last ran
                plan.setdefault(key, [])
        results = self._run(plan, end_of_data=end_of_data)
        self._caught_up = True
        if after != positions and not filtered:
            found = Positions(self._options.features.tables, after)
            self._options.disk.write_whole(self._path, msgspec.json.encode(found))
        return results

    def close(self) -> None:
        """Let another executor have the lake."""
        self._lock.release()

    def _run(self, plan: dict[StreamKey, list[Published]], *, end_of_data: bool) -> list[StreamResult]:
        """Run every stream; one that fails does not keep the others from running.

        Raises: ExceptionGroup of the streams' errors, after all have run.
        """
        run = partial(run_stream, options=self._options, end_of_data=end_of_data)
        if self._workers:
            futures = [self._workers.submit(run, key, entries) for key, entries in plan.items()]
            calls: list[Callable[[], StreamResult]] = [future.result for future in futures]
        else:
            calls = [partial(run, key, entries) for key, entries in plan.items()]
        results: list[StreamResult] = []
        errors: list[Exception] = []
        for call in calls:
            try:
                results.append(call())
            except Exception as error:  # noqa: BLE001 - raised below, with those of the other streams
                errors.append(error)
        if errors:
            raise ExceptionGroup(f"{len(errors)} of {len(plan)} streams failed", errors)
        return results

    def _plan(self, positions: dict[str, int]) -> tuple[dict[StreamKey, list[Published]], dict[str, int]]:
        """New files by stream, in the order they were published, and the log positions behind them."""
        plan: dict[StreamKey, list[Published]] = {}
        after = dict(positions)
        wanted = self._options.features.tables
        for path in log_paths(self._options.lake):
            start = positions.get(path.name, 0)
            if path.stat().st_size <= start:
                continue
            entries, after[path.name] = read_log(path, start=start)
            for entry in entries:
                key = StreamKey(entry.exchange, entry.symbol)
                if entry.table in wanted and self._options.only.allows(key):
                    plan.setdefault(key, []).append(entry)
        known = {key for key in plan if (self._folder / "trades" / key.exchange / key.symbol).exists()}
        fed = {key for key, entries in plan.items() if any(entry.table != "gaps" for entry in entries)}
        return {key: plan[key] for key in sorted(known | fed)}, after

    def _known_streams(self) -> list[StreamKey]:
        """Streams that have run before."""
        return [key for key in known_streams(self._options.lake) if self._options.only.allows(key)]

    def _positions(self) -> dict[str, int]:
        """How far each log was read; of none where other tables were wanted then, which it had left out."""
        if not self._path.exists():
            return {}
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=Positions)
        except msgspec.ValidationError:  # of an earlier version
            return {}
        return found.logs if self._options.features.tables <= found.tables else {}


def lock_of(lake: Lake, *, hint: str) -> FileLock:
    """The lock that whoever writes silver and gold of a lake holds.

    Raises: LakeLocked, with this hint.
    """
    return hold(watcher_lock(lake), hint=hint)


def known_streams(lake: Lake) -> list[StreamKey]:
    """Streams that silver was made of, by their checkpoints."""
    folders = sorted((lake.refining / "trades").glob("*/*"))
    return [StreamKey(folder.parent.name, folder.name) for folder in folders]
