"""Log lines: where they go, what they hold, and what they never hold."""

import json
import logging
import sys

import pytest

from shared import log


def test_text_has_the_event_and_its_fields(capsys):
    log.configure("info", format="text")
    log.get_log("writer").info("sealed", rows=5, table="trades")
    out, err = capsys.readouterr()
    assert out == ""
    assert "sealed" in err
    assert "rows=5" in err
    assert "log=writer" in err


def test_json_is_one_object_a_line(capsys):
    log.configure("info", format="json")
    log.get_log("writer").warning("gap", rows_lost=None)
    line = json.loads(capsys.readouterr().err)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "gap", "level": "warning", "log": "writer", "rows_lost": None}


def test_a_log_obeys_the_configuration_that_comes_after_it(capsys):
    early = log.get_log("early")
    log.configure("warning", format="json")
    early.info("unimportant")
    early.error("important")
    assert json.loads(capsys.readouterr().err)["event"] == "important"


def test_libraries_take_the_same_road(capsys):
    log.configure("info", format="json")
    log.configure("info", format="json")  # twice is once
    logging.getLogger("websockets").warning("lost %s", "connection")
    logging.getLogger("websockets").info("chatter")
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "lost connection"


@pytest.mark.parametrize("shape", ["text", "json"])
def test_nothing_secret_is_written(shape, capsys):
    log.configure("debug", format=shape)
    hidden = "hunter2"
    bound = log.get_log("test").bind(api_key=hidden)
    bound.info(
        "connecting",
        password=hidden,
        headers={"X-Api-Key": hidden, "deep": [{"refreshToken": hidden}]},
        secret_access_key=hidden,
    )
    try:
        local_secret = hidden
        raise ValueError(f"a bug of {len(local_secret)}")
    except ValueError:
        bound.exception("failed")
    err = capsys.readouterr().err
    assert hidden not in err
    assert log.REDACTED in err
    assert "a bug of 7" in err


def test_lines_go_to_what_standard_error_is_now(capsys, monkeypatch):
    log.configure("info", format="text")
    monkeypatch.setattr(sys, "stderr", sys.stdout)
    log.get_log("x").info("here")
    assert "here" in capsys.readouterr().out


@pytest.mark.parametrize(("level", "shape"), [("loud", "text"), ("info", "xml")])
def test_an_unknown_setting_is_refused(level, shape):
    with pytest.raises(ValueError, match="logging is"):
        log.configure(level, format=shape)
