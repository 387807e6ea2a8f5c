"""The demo's folder: made by us and marked as ours, with settings in it that can be used again."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import msgspec

from shared.errors import LakeUnusable
from shared.partitioning import Lake

MARKER = ".daedalus-demo"
SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD")
_MARKER_TEXT = "Made by `daedalus demo`, which deletes this folder when it runs here again.\n"
_SETTINGS = """\
# The settings of this demo, and a working example: `daedalus ingest -c {file}` captures into this lake.
# The addresses are those of the local exchange; without ws_url, rest_url and urls the real exchanges answer.
coinbase: # the native collector
  symbols: [{products}]
  channels: {{ticker: [], level2: []}} # trades only
  ws_url: {coinbase_ws_url}
  rest_url: {coinbase_rest_url}/api/v3/brokerage/market
ccxt:
  exchanges:
    kraken: # through ccxt.pro
      channels: {{watchTrades: [{markets}]}}
      urls:
        public: {kraken_rest_url}
        private: {kraken_rest_url}
        ws.public: {kraken_ws_url}
        ws.publicV2: {kraken_ws_url}
ingestion:
  segment_max_seconds: 5 # short, so that files appear while one watches; 900 is usual
  journal_sync_ms: 250
  reconnect_delay: 0.2
etl:
  lateness_s: 2
  poll_interval_s: 1
  bars:
    - {{type: time, interval: 5s}}
    - {{type: time, interval: 10s}}
    - {{type: tick, threshold: 50}}
    - {{type: volume, threshold: 0.15, symbols: [BTC-USD]}}
    - {{type: volume, threshold: 5, symbols: [ETH-USD]}}
    - {{type: volume, threshold: 120, symbols: [SOL-USD]}}
    - {{type: dollar, threshold: 10000}}
storage:
  paths:
    raw_dir: {raw}
    processed_dir: {processed}
    state_dir: {state}
"""


class Addresses(msgspec.Struct, frozen=True):
    """Where the local exchange listens, as its ready file says."""

    coinbase_ws_url: str
    coinbase_rest_url: str
    kraken_ws_url: str
    kraken_rest_url: str


@dataclass(frozen=True)
class DemoFolder:
    """Every path of one demo; `root` is as the user typed it, so that printed commands can be copied."""

    root: Path

    @property
    def lake(self) -> Lake:
        """The lake in it."""
        return Lake.under(self.root.resolve())

    @property
    def config(self) -> Path:
        """The settings that every process of the demo reads."""
        return self.root / "config.yaml"

    @property
    def truth_log(self) -> Path:
        """What the exchange made."""
        return self.root / "exchange.jsonl"

    @property
    def ready_file(self) -> Path:
        """Where the exchange says that it listens."""
        return self.root / "exchange.json"

    @property
    def story(self) -> Path:
        """What the demo did, and when."""
        return self.root / "run.json"

    @property
    def report(self) -> Path:
        """The report for a browser."""
        return self.root / "report.html"

    @property
    def heartbeat(self) -> Path:
        """How capture is doing, as the collector says."""
        return self.root / "state" / "ingestion.json"

    def log(self, name: str) -> Path:
        """Where a process of the demo speaks."""
        return self.root / "logs" / f"{name}.log"

    def write_settings(self, addresses: Addresses) -> None:
        """Write `config.yaml` for an exchange at these addresses."""
        lake = self.lake
        quoted = {"raw": lake.raw, "processed": lake.processed, "state": lake.state}
        text = _SETTINGS.format(
            file=self.config,
            products=", ".join(SYMBOLS),
            markets=", ".join(symbol.replace("-", "/") for symbol in SYMBOLS),
            **{name: msgspec.json.encode(str(path)).decode() for name, path in quoted.items()},
            **msgspec.structs.asdict(addresses),
        )
        self.config.write_text(text, encoding="utf-8")

    def addresses(self) -> Addresses | None:
        """Where the exchange listens; None while it does not."""
        if not self.ready_file.exists():
            return None
        return msgspec.json.decode(self.ready_file.read_bytes(), type=Addresses)


def fresh_folder(root: Path) -> DemoFolder:
    """An empty folder with our marker; what an earlier demo left in it is deleted, anything else never.

    Raises: LakeUnusable where something is there that no demo made.
    """
    if root.is_dir() and (root / MARKER).is_file() and not root.is_symlink():
        shutil.rmtree(root)
    elif root.is_symlink() or (root.exists() and not (root.is_dir() and not any(root.iterdir()))):
        raise LakeUnusable(
            root, "is not a folder that a demo made; nothing was touched", hint="Name a new one: --folder demo-lake-2"
        )
    (root / "logs").mkdir(parents=True, exist_ok=True)
    (root / MARKER).write_text(_MARKER_TEXT, encoding="utf-8")
    return DemoFolder(root)
