"""Run the local exchange: a seeded market or a recording, over Coinbase's and Kraken's wire protocols."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from ingestion.simulator import Fault, LocalExchange, SeededMarket, Timing, open_recording, parse_fault
from ingestion.simulator.exchange import VENUES
from shared.errors import DaedalusError

_CLOSE_WITHIN_S = 5.0  # clients have this long to take what has happened
_FAULT_HELP = "[venue:]kind@frames[:value], e.g. close@500, stall@2000:3s, kraken:drop@50#trade. Repeatable"


def simulate(
    venue: Annotated[list[str] | None, typer.Option(help="coinbase or kraken; both by default")] = None,
    symbols: Annotated[str, typer.Option(help="comma list, for the seeded market")] = "BTC-USD,ETH-USD,SOL-USD",
    rate: Annotated[float, typer.Option(help="market moments per second and venue, seeded")] = 100.0,
    trade_share: Annotated[float, typer.Option(help="share of moments that are trades, seeded")] = 0.3,
    seed: Annotated[int, typer.Option(help="equal seeds give equal markets")] = 0,
    replay: Annotated[Path | None, typer.Option(help="recorded frames or a trade tape, instead of a seed")] = None,
    speed: Annotated[float, typer.Option(help="times real time; 0 is as fast as clients read")] = 1.0,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one")] = 0,
    ready_file: Annotated[Path | None, typer.Option(help="write the URLs here as JSON once listening")] = None,
    fault: Annotated[list[str] | None, typer.Option(help=_FAULT_HELP)] = None,
    truth_log: Annotated[Path | None, typer.Option(help="append what was made and sent, as JSON lines")] = None,
    duration: Annotated[float, typer.Option(help="seconds to run; 0 is until stopped")] = 0.0,
    once: Annotated[bool, typer.Option("--once", help="end when the recording has ended")] = False,
) -> None:
    """Serve a local exchange on 127.0.0.1: repeatable market or replay, with faults on demand."""
    try:
        source = (
            open_recording(replay)
            if replay
            else SeededMarket(
                seed=seed, symbols=[name.strip() for name in symbols.split(",")], rate=rate, trade_share=trade_share
            )
        )
        faults: list[Fault] = [parse_fault(text) for text in fault or ()]
        exchange = LocalExchange(
            source,
            port=port,
            venues=venue or VENUES,
            timing=Timing(speed=speed),
            faults=faults,
            truth_log=truth_log,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    asyncio.run(_serve(exchange, ready_file=ready_file, duration_s=duration, once=once))


async def _serve(exchange: LocalExchange, *, ready_file: Path | None, duration_s: float, once: bool) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with exchange:
        typer.echo("simulated exchange: " + "  ".join(exchange.urls().values()))
        typer.echo("\n".join(["as settings:", *settings_of(exchange.urls())]))
        if ready_file:
            _announce(ready_file, exchange)
        waits = [asyncio.create_task(stop.wait())]
        if once:
            waits.append(asyncio.create_task(exchange.exhausted.wait()))
        await asyncio.wait(waits, timeout=duration_s or None, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if not await exchange.close_market(within_s=_CLOSE_WITHIN_S):
            typer.echo("simulated exchange: a client did not take all that happened", err=True)
        typer.echo(f"simulated exchange: made {exchange.truth.count()} trades")


def settings_of(urls: Mapping[str, str]) -> list[str]:
    """Lines of a settings file that name these addresses; REST paths stand below them as at the exchange itself.

    >>> settings_of({"kraken_ws_url": "ws://h/kraken/v2", "kraken_rest_url": "http://h/kraken"})
    ['native: {exchanges: {kraken: {ws_url: "ws://h/kraken/v2", rest_url: "http://h/kraken/0/public"}}}']
    """
    lines = []
    for venue, path, form in (
        ("coinbase", "/api/v3/brokerage/market", "coinbase: {{{}}}"),
        ("kraken", "/0/public", "native: {{exchanges: {{kraken: {{{}}}}}}}"),
    ):
        if f"{venue}_ws_url" in urls:
            ws_url, rest_url = urls[f"{venue}_ws_url"], urls[f"{venue}_rest_url"] + path
            lines.append(form.format(f'ws_url: "{ws_url}", rest_url: "{rest_url}"'))
    return lines


def _announce(ready_file: Path, exchange: LocalExchange) -> None:
    """Write the ready file whole or not at all."""
    partial = ready_file.with_name(f".{ready_file.name}.{os.getpid()}")
    partial.write_text(json.dumps({"port": exchange.port, "pid": os.getpid(), **exchange.urls()}))
    partial.replace(ready_file)


def main() -> None:
    """Entry point of `python -m scripts.simulate`."""
    try:
        typer.run(simulate)
    except DaedalusError as error:
        sys.exit(error.line())


if __name__ == "__main__":
    main()
