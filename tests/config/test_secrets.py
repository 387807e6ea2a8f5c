"""No secret is ever shown; each may come from the environment, and nothing else may."""

import io
import pickle
import traceback

import pytest
import yaml

from config.config import Settings, load_config
from config.reference import entries
from config.sources import PREFIX
from shared import log
from shared.errors import SettingsInvalid

HIDDEN = "hunter2-do-not-show"
HIDDEN_URL = f"https://example.org/{HIDDEN}"
SECRETS = [entry for entry in entries(Settings) if entry.is_secret]
USABLE = [entry for entry in SECRETS if entry.path[0] != "storage"]


def nested(path, value):
    for step in reversed(path):
        value = {step.replace("<id>", "kraken"): value}
    return value


def hidden(entry):
    """A secret that can stand there."""
    return HIDDEN_URL if entry.path[-1].endswith("_url") else HIDDEN


def write(tmp_path, data, mode=0o600):
    file = tmp_path / "c.yaml"
    file.write_text(data if isinstance(data, str) else yaml.safe_dump(data))
    file.chmod(mode)
    return file


def value_at(settings, path):
    for step in path:
        settings = settings["kraken"] if step == "<id>" else getattr(settings, step)
    return settings


def test_the_tree_has_the_secrets_we_think():
    assert {entry.key for entry in USABLE} == {
        "coinbase.api_key",
        "coinbase.api_secret",
        "ccxt.exchanges.<id>.api_key",
        "ccxt.exchanges.<id>.secret",
        "ccxt.exchanges.<id>.password",
        "health.webhook_url",
    }
    assert len(SECRETS) == len(USABLE) + 4 * 2


def test_every_field_with_a_secret_name_is_a_secret():
    words = ("secret", "password", "api_key", "access_key", "token")
    assert [e.key for e in entries(Settings) if any(word in e.path[-1] for word in words) and not e.is_secret] == []


@pytest.mark.parametrize("entry", USABLE, ids=lambda entry: entry.key)
def test_a_loaded_secret_is_never_shown(tmp_path, entry, capsys):
    settings = load_config(write(tmp_path, nested(entry.path, hidden(entry))), environment={})
    assert value_at(settings, entry.path).get_secret_value() == hidden(entry)
    log.configure("debug", format="text")
    log.get_log("test").info(
        "settings", settings=settings, dumped=settings.model_dump(), field=value_at(settings, entry.path)
    )
    log.configure("debug", format="json")
    log.get_log("test").info("settings", settings=repr(settings), dumped=settings.model_dump(mode="json"))
    shown = [
        repr(settings),
        str(settings),
        settings.model_dump_json(),
        str(settings.model_dump()),
        *capsys.readouterr(),
    ]
    assert not any(HIDDEN in text for text in shown)


@pytest.mark.parametrize("entry", USABLE, ids=lambda entry: entry.key)
def test_the_environment_wins_over_the_file(tmp_path, entry):
    name = PREFIX + "__".join(entry.path).upper().replace("<ID>", "KRAKEN")
    written = "https://example.org/from-the-file" if hidden(entry) == HIDDEN_URL else "from the file"
    settings = load_config(write(tmp_path, nested(entry.path, written)), environment={name: hidden(entry)})
    assert value_at(settings, entry.path).get_secret_value() == hidden(entry)
    assert settings.notices == ()
    empty = load_config(tmp_path / "c.yaml", environment={name: ""})
    assert value_at(empty, entry.path).get_secret_value() == written


@pytest.mark.parametrize("name", ["COINBASE__API_KEY", "CCXT__EXCHANGES__KRAKEN__SECRET"])
def test_the_environment_hides_no_mistake_of_the_file(tmp_path, name):
    file = write(tmp_path, "coinbase: [1]\nccxt: {exchanges: {kraken: [1]}}")
    with pytest.raises(SettingsInvalid) as caught:
        load_config(file, environment={PREFIX + name: HIDDEN})
    assert len(caught.value.problems) == 2


def test_an_exchange_without_keys_is_a_place_for_a_secret(tmp_path):
    file = write(tmp_path, "ccxt:\n  exchanges:\n    kraken:\n")
    settings = load_config(file, environment={"DAEDALUS_CCXT__EXCHANGES__KRAKEN__SECRET": HIDDEN})
    assert settings.ccxt.exchanges["kraken"].secret.get_secret_value() == HIDDEN


def test_a_secret_needs_no_section_in_the_file(tmp_path):
    file = write(tmp_path, "etl:\ncoinbase:\n")
    settings = load_config(file, environment={"DAEDALUS_COINBASE__API_SECRET": HIDDEN})
    assert settings.coinbase.api_secret.get_secret_value() == HIDDEN


@pytest.mark.parametrize(
    "name",
    ["DAEDALUS_CCXT__EXCHANGES__BINANCE__SECRET", "DAEDALUS_STORAGE__ETL_STORAGE_OUTPUT__SECRET_ACCESS_KEY"],
)
def test_a_secret_for_what_the_file_does_not_name_is_said_and_ignored(tmp_path, name):
    settings = load_config(write(tmp_path, "ccxt: {exchanges: {kraken: {}}}"), environment={name: HIDDEN})
    (notice,) = settings.notices
    assert notice == f"environment {name} is ignored: the settings file has no section for it"


def test_the_secrets_of_a_bucket_come_from_the_environment_too(tmp_path):
    file = write(tmp_path, "storage: {etl_storage_output: {type: s3, bucket: lake}}")
    settings = load_config(file, environment={"DAEDALUS_STORAGE__ETL_STORAGE_OUTPUT__SECRET_ACCESS_KEY": HIDDEN})
    place = settings.storage.etl_storage_output
    assert place.options()["secret_access_key"] == HIDDEN
    assert HIDDEN not in repr(settings)


@pytest.mark.parametrize(
    ("name", "clue"),
    [
        ("DAEDALUS_INGESTION__QUEUE_MAXSIZE", "`ingestion.queue_maxsize` is set in the file"),
        ("DAEDALUS_COINBASE__API_SECRT", "did you mean `api_secret`?"),
        ("DAEDALUS_NOWHERE__AT_ALL", "no secret of that name"),
    ],
)
def test_the_environment_sets_secrets_alone(tmp_path, name, clue):
    with pytest.raises(SettingsInvalid) as caught:
        load_config(write(tmp_path, "etl:\n"), environment={name: HIDDEN})
    assert clue in caught.value.line()
    assert HIDDEN not in caught.value.line()


def test_other_variables_are_none_of_our_business(tmp_path):
    environment = {"DAEDALUS_TEST_DATA": "/x", "PATH": "/bin", "OTHER__API_KEY": HIDDEN}
    assert load_config(write(tmp_path, "etl:\n"), environment=environment).coinbase.api_key is None


@pytest.mark.parametrize(
    "text",
    [
        f"coinbase: {{api_secret: [{HIDDEN}]}}",
        f"coinbase: {{api_secret: {{a: {HIDDEN}}}}}",
        f"coinbase: {{api_secrt: {HIDDEN}}}",
        f"coinbase: {HIDDEN}",
        f"coinbase: [{HIDDEN}]",
        f"ccxt: {{exchanges: {{kraken: {HIDDEN}}}}}",
        f"ccxt: {{exchanges: {{kraken: {{options: {{apiKey: {HIDDEN}}}}}}}}}",
        f"ccxt: {{exchanges: {{kraken: {{options: {{deep: [{{client: 1, privateKey: {HIDDEN}}}]}}}}}}}}",
        f"ccxt: {{exchanges: {{kraken: {{options: {HIDDEN}}}}}}}",
        f"ccxt: {{exchanges: {{kraken: {{urls: {{ws: 'wss://me:{HIDDEN}@host'}}}}}}}}",
        f"coinbase: {{ws_url: 'wss://me:{HIDDEN}@host/x'}}",
        f"coinbase: {{silence_timeout_s: 'me@{HIDDEN}'}}",
        f"etl: {{channels: {{trades: {{processor_options: {{password: {HIDDEN}}}}}}}}}",
        f"coinbase: {{api_secret:{HIDDEN}}}",
        f"coinbase: {{api_secret: *{HIDDEN}}}",
        f"coinbase: {{api_secret: !{HIDDEN} x}}",
        f"coinbase: {{api_secret: 'x' {HIDDEN}}}",
        f'coinbase: {{api_secret: "{HIDDEN}',
        f"coinbase:\n  api_secret: {HIDDEN}: {HIDDEN}\n",
        HIDDEN,
    ],
)
def test_an_error_never_shows_a_secret(tmp_path, text):
    with pytest.raises(SettingsInvalid) as caught:
        load_config(write(tmp_path, text), environment={})
    error = caught.value
    told = io.StringIO()
    traceback.print_exception(error, file=told)
    chain = [error.__cause__, error.__context__ if not error.__suppress_context__ else None]
    assert HIDDEN not in "".join([error.line(), str(error), repr(error), told.getvalue(), *map(repr, chain)])


def test_a_wrong_typed_number_secret_is_not_echoed(tmp_path):
    with pytest.raises(SettingsInvalid) as caught:
        load_config(write(tmp_path, "coinbase: {api_secret: 123456789}"), environment={})
    assert "coinbase.api_secret: found a whole number, expected text (secret)" in caught.value.line()


def test_a_secret_everybody_may_read_is_said(tmp_path):
    text = f"coinbase: {{api_secret: {HIDDEN}}}"
    (notice,) = load_config(write(tmp_path, text, mode=0o644), environment={}).notices
    assert "chmod 600" in notice
    assert HIDDEN not in notice
    assert load_config(write(tmp_path, text, mode=0o640), environment={}).notices == ()
    assert load_config(write(tmp_path, "coinbase: {api_secret: null}", mode=0o644), environment={}).notices == ()


def test_settings_survive_a_process_boundary(tmp_path):
    settings = load_config(write(tmp_path, f"coinbase: {{api_secret: {HIDDEN}}}"), environment={})
    assert pickle.loads(pickle.dumps(settings)) == settings
