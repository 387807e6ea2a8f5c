"""A local exchange: real wire protocols, repeatable markets, faults on demand, and the truth to check against."""

from ingestion.simulator.exchange import LocalExchange as LocalExchange
from ingestion.simulator.exchange import Timing as Timing
from ingestion.simulator.faults import Fault as Fault
from ingestion.simulator.faults import parse_fault as parse_fault
from ingestion.simulator.market import SeededMarket as SeededMarket
from ingestion.simulator.recording import RecordedFrames as RecordedFrames
from ingestion.simulator.tape import TradeTape as TradeTape
from ingestion.simulator.tape import open_recording as open_recording
from ingestion.simulator.truth import Truth as Truth
from ingestion.simulator.truth import read_truth as read_truth
