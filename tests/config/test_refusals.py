"""Every mistake in a settings file is answered by a line: file, full path, what was found, what was expected."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from config.config import Settings, load_config
from config.problems import SettingsRefused, problems_of
from config.reference import entries
from shared.errors import SettingsInvalid


def refused(tmp_path: Path, text: str | bytes, **environment: str) -> list[str]:
    file = tmp_path / "c.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SettingsInvalid) as caught:
        load_config(file, environment=environment)
    lines = caught.value.line().splitlines()
    assert all(str(file) in line for line in lines[: len(caught.value.problems)] if not environment)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return [line.replace(f"{file}: ", "") for line in lines]


HINT = "Fix the key, then try `daedalus config check`"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("ingestion: {queue_maxsiz: 5}", "ingestion.queue_maxsiz: unknown key, did you mean `queue_maxsize`?"),
        ("ingestin: {}", "ingestin: unknown key, did you mean `ingestion`?"),
        ("queue_max_mb: 64", "queue_max_mb: unknown key, did you mean `ingestion.queue_max_mb`?"),
        ("ingestion: {lateness_s: 3}", "ingestion.lateness_s: unknown key, did you mean `etl.lateness_s`?"),
        (
            "ingestion: {raw_format: ndjson, store_frames: true}",
            "ingestion.store_frames: found true, expected false where raw_format is ndjson: NDJSON cannot hold bytes",
        ),
        ("logging: {zzz: 1}", "logging.zzz: unknown key, expected one of level, format"),
        (
            "ccxt: {exchanges: {kraken: {channels: {watchTrade: []}}}}",
            "ccxt.exchanges.kraken.channels.watchTrade: unknown key, did you mean `watchTrades`?",
        ),
        (
            'ingestion: {queue_maxsize: "10"}',
            "ingestion.queue_maxsize: found the text '10', expected whole number, 1 to 100000000",
        ),
        ("ingestion: {batch_size: 1.5}", "ingestion.batch_size: found 1.5, expected whole number, 1 to 1000000"),
        ("ingestion: {batch_size: 0}", "ingestion.batch_size: found 0, expected whole number, 1 to 1000000"),
        ("ingestion: {batch_size: true}", "ingestion.batch_size: found true, expected whole number, 1 to 1000000"),
        ("ingestion: {batch_size: }", "ingestion.batch_size: found nothing, expected whole number, 1 to 1000000"),
        ("ingestion: {queue_max_mb: .inf}", "ingestion.queue_max_mb: found .inf, expected number, 0.1 to 65536"),
        ("ingestion: {enable_fsync: 1}", "ingestion.enable_fsync: found 1, expected true or false"),
        (
            "ingestion: {enable_fsync: 'no'}",
            "ingestion.enable_fsync: found the text 'no', expected true or false",
        ),
        (
            "ingestion: {raw_format: csv}",
            "ingestion.raw_format: found the text 'csv', expected one of parquet, ndjson",
        ),
        (
            "ingestion: {parquet_compression: gzip, parquet_compression_level: 12}",
            "ingestion.parquet_compression_level: found 12, expected a level from 1 to 9 for gzip",
        ),
        (
            "ingestion: {reconnect_delay: 90}",
            "ingestion.reconnect_delay_max: found 60.0, expected at least `reconnect_delay`",
        ),
        (
            "supervisor: {memory_warning_mb: 2000, memory_critical_mb: 1000}",
            "supervisor.memory_critical_mb: found 1000, expected at least `memory_warning_mb`",
        ),
        (
            "supervisor: {restart_delay_s: 120}",
            "supervisor.restart_delay_max_s: found 60.0, expected at least `restart_delay_s`",
        ),
        (
            "ingestion: {reconnect_delay: 9, reconnect_delay_max: 3}",
            "ingestion.reconnect_delay_max: found 3, expected at least `reconnect_delay`",
        ),
        (
            "coinbase: {ws_url: 'http://h'}",
            "coinbase.ws_url: found the text 'http://h', expected an address that begins with wss:// or ws://",
        ),
        (
            "native: {exchanges: {okx: {ws_url: 'https://h'}}}",
            "native.exchanges.okx.ws_url: found the text 'https://h', "
            "expected an address that begins with wss:// or ws://",
        ),
        (
            "native: {exchanges: {okx: {rest_url: 'ws://h'}}}",
            "native.exchanges.okx.rest_url: found the text 'ws://h', "
            "expected an address that begins with https:// or http://",
        ),
        ("ingestion: {batch_size:5}", "ingestion.batch_size: no space after the colon"),
        ("ingestion: [1]", "ingestion: found a list, expected a mapping of keys"),
        ("ingestion: sometext", "ingestion: found text, expected a mapping of keys"),
        ("1: {}", "1: found a whole number as a key, expected text (quote it)"),
        ("ccxt: {exchanges: {1: {}}}", "ccxt.exchanges.1: found a whole number as a key, expected text (quote it)"),
        (
            "ccxt: {exchanges: {Kraken: {}}}",
            "ccxt.exchanges: found a mapping, expected exchange ids as ccxt writes them, as kraken or binanceus, "
            "not 'Kraken'",
        ),
        (
            "coinbase: {symbols: [BTC-USD, BTC/USD]}",
            "coinbase.symbols[1]: found the text 'BTC/USD', expected a Coinbase product such as BTC-USD",
        ),
        ("coinbase: {symbols: BTC-USD}", "coinbase.symbols: found the text 'BTC-USD', expected list of text"),
        ("coinbase: {symbols: [5]}", "coinbase.symbols[0]: found 5, expected text"),
        (
            "coinbase: {symbols: [A-B, A-B]}",
            "coinbase.symbols: found a list, expected each once, but 'A-B' is listed twice",
        ),
        (
            "ccxt: {exchanges: {kraken: {channels: {watchTrades: [BTC-USD]}}}}",
            "ccxt.exchanges.kraken.channels.watchTrades[0]: found the text 'BTC-USD', "
            "expected a ccxt symbol such as BTC/USD or BTC/USDT:USDT",
        ),
        ("etl: {bars: [{}]}", "etl.bars[0].type: found nothing, expected text"),
        ("etl: {bars: [{type: 5}]}", "etl.bars[0].type: found 5, expected text"),
        (
            "etl: {channels: {trades: {partition_cols: [symbol, week]}}}",
            "etl.channels.trades.partition_cols[1]: found the text 'week', "
            "expected one of exchange, symbol, year, month, day, hour, date",
        ),
        (
            "etl: {channels: {trades: {partition_cols: [symbol, date]}}}",
            "etl.channels.trades.partition_cols: found a list, expected exchange and symbol, "
            "then date (or year, month, day; without day, or with hour)",
        ),
        (
            "storage: {paths: {ready_subdir: staging}}",
            "storage.paths.ready_subdir: found the text 'staging', "
            "expected another name than daily, published, quality, quarantine, staging, which the lake uses itself",
        ),
        (
            "storage: {paths: {ready_subdir: active}}",
            "storage.paths.ready_subdir: found the text 'active', expected another folder than `active_subdir`",
        ),
        (
            "storage: {paths: {tier_gold: ../x}}",
            "storage.paths.tier_gold: found the text '../x', "
            "expected the name of one folder: letters, digits, '.', '_' and '-'",
        ),
        ("storage: {paths: {raw_dir: 3}}", "storage.paths.raw_dir: found 3, expected path of a folder"),
        (
            "storage: {ingestion_storage: {type: s3, bucket: lake}}",
            "storage.ingestion_storage.type: found s3, expected local: a journal has to be synced to a disk "
            "message by message, which no bucket does; set storage.archive and run `daedalus sync` beside",
        ),
        (
            "storage: {etl_storage_output: {type: ftp}}",
            "storage.etl_storage_output.type: found the text 'ftp', expected one of local, folder, s3",
        ),
        (
            "storage: {etl_storage_output: {bucket: lake}}",
            "storage.etl_storage_output.type: found nothing, expected one of local, folder, s3",
        ),
        ("coinbase: {ws_url: somewhere}", None),
        (
            "ccxt: {exchanges: {kraken: {urls: {ws: 5}}}}",
            "ccxt.exchanges.kraken.urls.ws: found a whole number (not shown), expected text",
        ),
    ],
)
def test_one_mistake_is_one_line(tmp_path, text, line):
    lines = refused(tmp_path, text)
    assert len(lines) == 1
    if line:
        assert lines == [f"{line}{'' if line.endswith('?') else '.'} {HINT}"]


def test_several_mistakes_are_several_lines(tmp_path):
    lines = refused(tmp_path, "ingestion: {batch_size: x, zz: 1}\netl: {lateness_s: -1}\nlogging: {level: loud}")
    assert [line.split(":")[0] for line in lines] == [
        "ingestion.batch_size",
        "ingestion.zz",
        "etl.lateness_s",
        "logging.level",
        HINT,
    ]


def test_a_key_written_twice_is_refused(tmp_path):
    (line,) = refused(tmp_path, "etl:\n  lateness_s: 1\n  lateness_s: 2\n")
    assert "line 3, column 3: not valid YAML: a key stands twice in one section" in line


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "is empty. Try `cp "),
        ("# nothing\n", "is empty. Try `cp "),
        ("- a\n- b\n", "found a list at the top level, expected keys"),
        ("just text", "found one value at the top level"),
        (
            "etl:\n\tlateness_s: 1\n",
            "line 2, column 1: not valid YAML: found character '\\t' that cannot start any token",
        ),
        ("etl: {lateness_s: 1\n", "line 2, column 1: not valid YAML"),
        ("a: *unknown\n", "line 1, column 4: not valid YAML"),
        ("a: !!python/object:os.system {}\n", "line 1, column 4: not valid YAML"),
        ("? [a]\n: 1\n", "line 1, column 3: not valid YAML"),
        ("a: 2026-99-99\n", "holds a value that YAML cannot read"),
        (b"a: \x00\n", "holds characters that YAML does not allow"),
        (b"a: 1\nb: \xff\n", "line 2: is not UTF-8 text. Save the file as UTF-8"),
        (b"#" * 1_048_577, "is larger than 1 MB"),
    ],
)
def test_an_unreadable_file_is_one_line(tmp_path, text, part):
    (line,) = refused(tmp_path, text)
    assert part in line


def test_deep_nesting_is_one_line(tmp_path):
    (line,) = refused(tmp_path, "[" * 50_000)
    assert "YAML" in line


def test_a_missing_file_says_what_to_copy(tmp_path):
    with pytest.raises(SettingsInvalid, match="there is no such file") as caught:
        load_config(tmp_path / "none.yaml")
    assert "config.examples.yaml" in caught.value.line()


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(SettingsInvalid, match="is a folder"):
        load_config(tmp_path)


def test_a_file_below_a_file_is_refused(tmp_path):
    (tmp_path / "f").write_text("")
    with pytest.raises(SettingsInvalid, match="cannot be read"):
        load_config(tmp_path / "f" / "c.yaml")


def test_a_file_without_permission_is_refused(tmp_path, monkeypatch):
    file = tmp_path / "c.yaml"
    file.write_text("etl: {}")

    def denied(*_args):
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr(Path, "open", denied)  # the tests may run as root, whom no mode stops
    with pytest.raises(SettingsInvalid, match="may not be read") as caught:
        load_config(file)
    assert "chmod u+r" in caught.value.line()


def test_a_byte_order_mark_is_no_mistake(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_bytes(b"\xef\xbb\xbfetl: {lateness_s: 4}")
    assert load_config(file, environment={}).etl.lateness_s == 4


ODD = [
    None,
    True,
    0,
    -1,
    10**400,
    1.5,
    float("nan"),
    "",
    "x",
    "a:b",
    "\x1b[31m",
    [],
    [None],
    [[]],
    {},
    {"type": []},
    {1: 2},
]


@pytest.mark.parametrize("key", [entry.path for entry in entries(Settings)], ids=".".join)
def test_no_odd_value_anywhere_is_more_than_refused(key):
    """Whatever stands at a key, and whatever unknown key stands beside it: accepted, or one clear line each."""
    for odd in ODD:
        for path, value in ((key, odd), ((*key[:-1], "unknwn"), odd), ((*key, "be\x1blow"), odd)):
            data = value
            for step in reversed(path):
                data = [data] if step == "[]" else {step.replace("<id>", "kraken"): data}
            try:
                Settings.model_validate(data)
            except ValidationError as error:
                lines = problems_of(error, file=Path("c.yaml"), data=data, tree=Settings)
                text = SettingsRefused(lines).line()
                assert lines
                assert all(line.startswith("c.yaml: ") for line in lines)
                assert "Input should" not in text
                assert "\x1b" not in text


@pytest.mark.parametrize("key", ["archive", "etl_storage_input", "etl_storage_output"])
@pytest.mark.parametrize("where", ["lake/raw", "lake/raw/copy", "lake/state/x", "lake", "link/raw"])
def test_an_archive_within_the_lake_is_refused(tmp_path, key, where):
    """Its keys would be the lake's own files, and every one of them would count as safe."""
    (tmp_path / "lake").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "lake")
    paths = ", ".join(f"{name}_dir: {tmp_path}/lake/{name}" for name in ("raw", "processed", "state"))
    place = f"{key}: {{type: folder, path: {tmp_path}/{where}}}"
    (line,) = refused(tmp_path, f"storage: {{{place}, paths: {{{paths}}}}}")
    assert line.startswith(
        f"storage.{key}.path: found {tmp_path}/{where}, expected a folder outside the lake, which has "
    )


def test_an_archive_around_the_lake_is_one(tmp_path):
    paths = ", ".join(f"{name}_dir: {tmp_path}/pi/{name}" for name in ("raw", "processed", "state"))
    (tmp_path / "c.yaml").write_text(f"storage: {{archive: {{type: folder, path: {tmp_path}}}, paths: {{{paths}}}}}")
    load_config(tmp_path / "c.yaml", environment={})


@pytest.mark.parametrize("prefix", ["a//b", "../b", "a/./b", ".hidden", "a\tb"])
def test_a_prefix_that_no_key_can_have_is_refused(tmp_path, prefix):
    (line,) = refused(tmp_path, f'storage: {{archive: {{type: s3, bucket: lake, prefix: "{prefix}"}}}}')
    assert line.startswith("storage.archive.prefix: found the text")
    assert "expected names joined by '/'" in line


@pytest.mark.parametrize("prefix", ["", "/", "pi", "/a/b/", "houses/pi-1"])
def test_a_prefix_may_have_slashes_at_its_ends(tmp_path, prefix):
    (tmp_path / "c.yaml").write_text(f'storage: {{archive: {{type: s3, bucket: lake, prefix: "{prefix}"}}}}')
    load_config(tmp_path / "c.yaml", environment={})


@pytest.mark.parametrize("bucket", ["lake/pi", "s3://lake", "my lake", "la"])
def test_a_bucket_that_is_no_name_is_refused(tmp_path, bucket):
    (line,) = refused(tmp_path, f'storage: {{archive: {{type: s3, bucket: "{bucket}"}}}}')
    assert line.startswith(f"storage.archive.bucket: found the text '{bucket}', expected a bucket's name")
    assert "`prefix`" in line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "retention: {keep_days_by_channel: {l3: 3}}",
            "retention.keep_days_by_channel: found the text 'l3' as a key, expected one of trades,",
        ),
        ("supervisor: {nice: {wach: 3}}", "supervisor.nice: found the text 'wach' as a key, expected one of ingest,"),
        (
            "retention: {keep_days_by_channel: {l2: forever}}",
            "retention.keep_days_by_channel.l2: found the text 'forever', expected whole number, 1 to 36500",
        ),
        ("supervisor: {nice: {watch: 40}}", "supervisor.nice.watch: found 40, expected whole number, -20 to 19"),
        (
            "supervisor: {cpu_affinity: {ingest: 0}}",
            "supervisor.cpu_affinity.ingest: found 0, expected list of whole number, 0 to 4095",
        ),
        (
            "{sync: {delete_after_verify: true}, storage: {archive: {type: s3, bucket: lake}}}",
            "sync.delete_after_verify: found true, expected false where `retention` names no age and no size",
        ),
    ],
)
def test_what_stands_in_a_mapping_is_told_by_its_own_kind(tmp_path, text, line):
    (said,) = refused(tmp_path, text)
    assert said.startswith(line)
