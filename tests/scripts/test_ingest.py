"""Which event loop the capture process runs on."""

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from scripts import ingest


class OtherLoop(asyncio.SelectorEventLoop):
    """Stands for uvloop's."""


@pytest.mark.parametrize(
    ("installed", "kind"),
    [(SimpleNamespace(new_event_loop=OtherLoop), OtherLoop), (None, asyncio.SelectorEventLoop)],
    ids=["installed", "not installed"],
)
def test_capture_runs_on_uvloop_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: object, kind: type
) -> None:
    async def run(*_: object, **__: object) -> None:
        loops.append(type(asyncio.get_running_loop()))

    loops: list[type] = []
    config = tmp_path / "config.yaml"
    config.write_text("coinbase: {symbols: [BTC-USD]}\n")
    monkeypatch.setitem(sys.modules, "uvloop", installed)
    monkeypatch.setattr(ingest, "run", run)
    ingest.ingest(config)
    assert len(loops) == 1
    assert issubclass(loops[0], kind)
    assert (loops[0] is OtherLoop) == (installed is not None)
