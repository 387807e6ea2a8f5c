"""The command line: quick help, commands loaded when named, and errors of one line."""

import errno
import subprocess
import sys
from importlib.util import find_spec

import pytest
import typer

from config.sources import EXAMPLE
from scripts import cli, generate_docs, lazy_commands

HEAVY = ["pyarrow", "numba", "ccxt", "polars", "duckdb", "numpy", "pydantic", "structlog", "botocore"]


def run(capsys, *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        cli.main(list(args))
    out, err = capsys.readouterr()
    return stopped.value.code or 0, out, err


@pytest.fixture
def command(monkeypatch):
    """Replace the `config` command by a function."""

    def install(function):
        monkeypatch.setattr(lazy_commands, "import_module", lambda _: sys.modules[__name__])
        monkeypatch.setattr(sys.modules[__name__], "app", function, raising=False)

    return install


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom scripts import cli\n"
        "try: cli.main(['--help'])\nexcept SystemExit: pass\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "config" in done.stdout
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_gives_its_own_help(name, capsys):
    if find_spec(cli.COMMANDS[name].target.partition(":")[0]) is None:
        pytest.skip("this command is not written yet")
    code, out, _ = run(capsys, name, "--help")
    assert code == 0
    assert f"daedalus {name}" in out


def test_a_command_has_all_its_options(capsys):
    code, out, _ = run(capsys, "config", "check", "--help")
    assert code == 0
    assert "--config" in out


def test_no_command_shows_the_help(capsys):
    code, out, err = run(capsys)
    assert code in {0, 2}
    assert "Commands" in out + err


def test_an_unknown_command_is_refused(capsys):
    code, _, err = run(capsys, "confg")
    assert code == 2
    assert "confg" in err
    assert "config" in err


@pytest.mark.parametrize(
    ("args", "line"),
    [
        ("confg", "No such command 'confg'. Did you mean 'config'? `daedalus --help` shows what can be said"),
        ("bars build --type tick --treshold 5", "No such option: --treshold (Possible options: --threshold). "
         "`daedalus bars build --help` shows what can be said"),
        ("bars build", "Missing option '--type'. `daedalus bars build --help` shows what can be said"),
        ("bars build --type tick --threshold 0", "--threshold: found 0, expected positive and finite. "
         "`daedalus bars build --help` shows what can be said"),
        ("bars build --type dollar", "--threshold: found nothing, expected a value. "
         "`daedalus bars build --help` shows what can be said"),
        ("gaps --since yesterday", "'yesterday' is no moment; write 2026-06-09, 2026-06-09T04:30 or 24h. "
         "`daedalus gaps --help` shows what can be said"),
    ],
)  # fmt: skip
def test_an_option_that_cannot_be_is_refused_in_one_line(capsys, args, line):
    assert run(capsys, *args.split()) == (2, "", f"error: {line}\n")


@pytest.mark.parametrize("args", [[], ["bars"], ["config"]])
def test_a_group_without_a_command_shows_its_help_once(capsys, args):
    code, out, err = run(capsys, *args)
    assert (code, (out + err).count("Usage:")) == (2, 1)


def test_the_version(capsys):
    assert run(capsys, "--version")[:2] == (0, "daedalus 0.1.0\n")


def test_config_check_says_what_is_on(capsys, tmp_path):
    code, out, err = run(capsys, "config", "check", "--config", str(EXAMPLE))
    assert (code, err) == (0, "")
    for part in (
        "good",
        "capture coinbase:\n  market_trades: BTC-USD, ETH-USD\n  ticker: BTC-USD, ETH-USD\n  level2: BTC-USD\n",
        "capture ccxt kraken:\n  watchTrades: BTC/USD, ETH/USD\n",
        "refine: trades, ticker, orderbook (from auto)\n",
        "bars: volume 12.5 of BTC-USD\n",
        "data/raw/ready\n",
    ):
        assert part in out
    assert "notice" not in out
    quiet = tmp_path / "c.yaml"
    quiet.write_text("ingestion: {enable_fsync: false}")
    code, out, _ = run(capsys, "config", "check", "-c", str(quiet))
    assert code == 0
    assert "capture: nothing" in out
    assert "notice: DURABILITY IS OFF" in out


def test_config_check_says_where_the_lake_goes_and_what_leaves_the_disk(capsys, tmp_path):
    file = tmp_path / "c.yaml"
    bucket = "{type: s3, bucket: lake, prefix: pi, endpoint_url: 'http://127.0.0.1:1'}"
    places = f"archive: {bucket}, etl_storage_input: {{type: folder, path: /mnt/pi}}"
    kept = "keep_days: 30, keep_days_by_channel: {l2: 7}, gold_keep_days: 90, lake_max_gb: 200"
    file.write_text(f"storage: {{{places}}}\nretention: {{{kept}}}\n")
    code, out, _ = run(capsys, "config", "check", "-c", str(file))
    assert code == 0
    assert "archive: s3://lake/pi at http://127.0.0.1:1\n" in out
    assert "bronze comes from: /mnt/pi\n" in out
    assert "go to" not in out
    assert (
        "retention: bronze 30 days, l2 7 days, gold 90 days, lake 200 GB; removed by `daedalus retain --delete`\n"
        in out
    )
    file.write_text(f"storage: {{{places}}}\nretention: {{keep_days: 1}}\nsync: {{delete_after_verify: true}}\n")
    assert "retention: bronze 1 day; removed by `daedalus sync`\n" in run(capsys, "config", "check", "-c", str(file))[1]
    file.write_text("etl: {}")
    assert "archive: none" in run(capsys, "config", "check", "-c", str(file))[1]


@pytest.mark.parametrize("key", ["archive", "etl_storage_input", "etl_storage_output"])
def test_config_check_refuses_a_store_that_sync_would_refuse(capsys, tmp_path, key):
    file = tmp_path / "c.yaml"
    file.write_text(f"storage: {{{key}: {{type: s3, bucket: lake, ca_file: none.pem}}}}")
    code, out, err = run(capsys, "config", "check", "-c", str(file))
    assert (code, out) == (2, "")
    assert "ca_file none.pem, which is no file" in err


def test_config_check_refuses_with_a_line_for_each_problem(capsys, tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("ingestion: {queue_maxsiz: 5}\netl: {lateness_s: x}\n")
    code, out, err = run(capsys, "config", "check", "-c", str(file))
    assert (code, out) == (2, "")
    lines = err.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("error: ") for line in lines)
    assert "ingestion.queue_maxsiz: unknown key, did you mean `queue_maxsize`?" in lines[0]


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ("native: {exchanges: {krakn: {symbols: [BTC/USD]}}}", "native.exchanges.krakn"),
        ("native: {exchanges: {kraken: {channels: {funding: [BTC/USD]}}}}", "native.exchanges.kraken.channels.funding"),
        ("ccxt: {exchanges: {binanc: {channels: {watchTrades: [BTC/USDT]}}}}", "ccxt.exchanges"),
    ],
)
def test_config_check_refuses_what_ingest_would_refuse(capsys, tmp_path, settings, key):
    file = tmp_path / "c.yaml"
    file.write_text(settings)
    code, out, err = run(capsys, "config", "check", "-c", str(file))
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {key}: ")


def test_a_missing_file_is_one_line(capsys, tmp_path):
    code, _, err = run(capsys, "config", "check", "-c", str(tmp_path / "none.yaml"))
    assert code == 2
    assert err.count("\n") == 1


def test_config_schema_is_json(capsys):
    code, out, _ = run(capsys, "config", "schema")
    assert code == 0
    assert '"writeOnly": true' in out
    assert '"deprecated": true' in out


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_what_the_machine_refuses_is_one_line(command, capsys, number):
    def full() -> None:
        raise OSError(number, "Told so", "/lake/raw")

    command(full)
    code, _, err = run(capsys, "config")
    assert code == 2
    assert err.startswith("error: /lake/raw: told so. ")
    assert err.count("\n") == 1


def test_errors_of_several_tasks_are_one_line_each(command, capsys):
    def several() -> None:
        refused = cli.DaedalusError("kraken said no", hint="Check the symbols")
        raise ExceptionGroup("tasks", [refused, ExceptionGroup("inner", [OSError(errno.EIO, "I/O error", "/d")])])

    command(several)
    code, _, err = run(capsys, "config")
    assert code == 2
    assert err.splitlines()[0] == "error: kraken said no. Check the symbols"
    assert err.count("error: ") == 2


@pytest.mark.parametrize(
    "bug",
    [KeyError("x"), FileNotFoundError(errno.ENOENT, "No such file"), ExceptionGroup("tasks", [KeyError("x")])],
)
def test_a_bug_keeps_its_traceback(command, bug):
    def broken() -> None:
        raise bug

    command(broken)
    with pytest.raises(type(bug)):
        cli.main(["config"])


def test_control_c_ends_quietly(command, capsys):
    def interrupted() -> None:
        raise KeyboardInterrupt

    command(interrupted)
    code, _, err = run(capsys, "config")
    assert code == 130
    assert "Traceback" not in err


def test_a_typer_with_several_commands_may_stand_in_the_table(command, capsys):
    several = typer.Typer(add_completion=False)
    several.command("one")(lambda: typer.echo("one"))
    several.command("two")(lambda: typer.echo("two"))
    command(several)
    assert run(capsys, "config", "two")[:2] == (0, "two\n")


def test_the_documentation_is_up_to_date(capsys):
    assert generate_docs.main(["--check"]) == 0, capsys.readouterr().err


def test_a_stale_page_is_named_and_then_written(tmp_path, monkeypatch, capsys):
    page = tmp_path / "p.md"
    page.write_text(f"# By hand\n\n{generate_docs.BEGIN}\nold\n{generate_docs.END}\n\nalso by hand\n")
    monkeypatch.setattr(generate_docs, "ROOT", tmp_path)
    monkeypatch.setattr(generate_docs, "PAGES", {"p.md": lambda: "new"})
    assert generate_docs.main(["--check"]) == 1
    assert "p.md" in capsys.readouterr().err
    assert generate_docs.main([]) == 0
    assert page.read_text() == f"# By hand\n\n{generate_docs.BEGIN}\n\nnew\n\n{generate_docs.END}\n\nalso by hand\n"
    assert generate_docs.main(["--check"]) == 0


def test_a_page_without_marks_is_refused():
    with pytest.raises(ValueError, match="needs the lines"):
        generate_docs.rendered("# Page", "part")
