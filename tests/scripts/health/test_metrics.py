"""Metrics as Prometheus reads them: parsed back, complete, named as its rules ask, and no more than a few."""

import re
from collections.abc import Iterable

from msgspec.structs import replace
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families

from scripts.health.facts import Alarm, Health
from scripts.health.metrics import ALARM, METRICS, Exposition
from scripts.health.verdict import ALARMS
from tests.scripts.health.examples import healthy, with_process


def exposed(health: Health, alarms: Iterable[Alarm] = ()) -> list[Family]:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Exposition(lambda: (health, list(alarms))))
    return list(text_string_to_metric_families(generate_latest(registry).decode()))


def samples(health: Health, alarms: Iterable[Alarm] = ()) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in exposed(health, alarms)
        for sample in family.samples
    }


def test_the_values_of_a_machine_that_is_well() -> None:
    found = samples(healthy())
    assert found["daedalus_up", "ingest"] == 1
    assert found["daedalus_rows_total", "kraken", "native", "trades"] == 123_456
    assert found["daedalus_message_age_seconds", "coinbaseadvanced", "native", "l2"] == 0.4
    assert found["daedalus_reconnects_total", "kraken", "native"] == 1
    assert found["daedalus_queue_fill_ratio",] == 0.004
    assert found["daedalus_disk_left_seconds",] == 31.2 * 86_400
    assert found["daedalus_resident_memory_bytes", "watch"] == 200 * 2**20
    assert found["daedalus_sync_backlog_files",] == 12
    assert found["daedalus_compaction_success_age_seconds",] == 7_260
    assert (found["daedalus_compaction_replaced_files",], found["daedalus_compaction_made_files",]) == (2_880, 10)
    assert found["daedalus_alarms", "capture", "critical"] == 0


def test_every_metric_of_the_table_is_there_and_keeps_the_rules_of_names() -> None:
    families = {family.name: family for family in exposed(healthy())}
    for metric in (*METRICS, ALARM):
        family = families.pop(metric.name.removesuffix("_total"))
        assert family.type == metric.kind
        assert family.samples, metric.name
        assert {tuple(sample.labels) for sample in family.samples} == {metric.labels}
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert re.fullmatch(r"daedalus_[a-z_]+", metric.name)
        assert not re.search(r"_(ms|mb|kb|gb|percent|s|days|minutes|hours)(_|$)", metric.name), "base units alone"
    assert families == {}


def test_of_what_does_not_run_nothing_is_repeated() -> None:
    health = replace(with_process(healthy(), "ingest", "gone"), queue_percent=None, archive=None)
    found = samples(health)
    assert found["daedalus_up", "ingest"] == 0
    absent = ("daedalus_queue_fill_ratio", "daedalus_sync_backlog_files")
    assert not [key for key in found if key[0] in absent]
    assert ("daedalus_resident_memory_bytes", "ingest") not in found


def test_one_that_rests_is_neither_up_nor_down() -> None:
    found = samples(with_process(healthy(), "compact", "resting"))
    assert ("daedalus_up", "compact") not in found
    assert found["daedalus_up", "sync"] == 1


def test_alarms_are_counted_by_kind_and_level() -> None:
    alarms = [Alarm(name="feed_silent", subject=name, level="critical", text="") for name in ("a", "b")]
    found = samples(healthy(), alarms)
    assert found["daedalus_alarms", "feed_silent", "critical"] == 2
    assert sum(key[0] == "daedalus_alarms" for key in found) == 2 * len(ALARMS)


def test_the_number_of_series_does_not_grow_with_symbols() -> None:
    health = healthy()
    feeds = [
        replace(feed, channels=[replace(channel, streams=1000) for channel in feed.channels]) for feed in health.feeds
    ]
    assert len(samples(replace(health, feeds=feeds))) == len(samples(health)) < 150
