"""The example file, the schema and the documentation say what the tree says."""

import json
import re

import yaml

from config.config import Settings, json_schema, load_config
from config.reference import entries
from config.sources import EXAMPLE

TEXT = EXAMPLE.read_text(encoding="utf-8")
DATA = yaml.safe_load(TEXT)
ENTRIES = [entry for entry in entries(Settings) if not entry.is_legacy]


def values(path, node):
    """Every value that stands at `path`; `<id>` and `[]` stand for each of their items."""
    if not path:
        return [node]
    first, *rest = path
    if first == "[]":
        return [value for item in node for value in values(rest, item)]
    if first == "<id>":
        return [value for item in node.values() for value in values(rest, item)]
    return values(rest, node[first]) if first in node else []


def test_the_example_loads_without_a_notice():
    assert load_config(EXAMPLE, environment={}).notices == ()


def test_the_example_names_every_key():
    variant = re.compile(r"# (\w+): .* # s3: ")
    commented = {match[1] for match in variant.finditer(TEXT)}
    missing = [e.key for e in ENTRIES if not values(e.path, DATA) and e.path[-1] not in commented]
    assert missing == []


def test_every_key_of_the_example_has_a_comment():
    keys = [line for line in TEXT.splitlines() if re.match(r" *(- )?[\w]+:", line)]
    assert len(keys) > 80
    assert [line for line in keys if " # " not in line] == []


def unmarked(node):
    """The data without the values whose line is marked an example; marked sections keep what is unmarked in them."""
    if not isinstance(node, yaml.MappingNode):
        items = getattr(node, "value", [])
        has_sections = isinstance(node, yaml.SequenceNode) and any(isinstance(item, yaml.MappingNode) for item in items)
        return [] if has_sections else yaml.safe_load(yaml.serialize(node))
    lines = TEXT.splitlines()
    return {
        key.value: unmarked(value)
        for key, value in node.value
        if isinstance(value, yaml.MappingNode) or "# example" not in lines[key.start_mark.line]
    }


def test_every_value_of_the_example_is_the_default_or_marked_an_example():
    written = unmarked(yaml.compose(TEXT))
    assert written["ingestion"]["queue_max_mb"] == 64
    assert "symbols" not in written["coinbase"]
    defaults = Settings.model_validate({section: {"exchanges": {"kraken": {}}} for section in ("native", "ccxt")})
    assert Settings.model_validate(written) == defaults


def test_the_schema_marks_secrets_and_older_keys():
    schema = json.loads(json.dumps(json_schema()))
    kraken = schema["$defs"]["CcxtExchange"]["properties"]
    assert any(variant.get("writeOnly") for variant in kraken["secret"]["anyOf"])
    for entry in entries(Settings):
        owner = schema if len(entry.path) == 1 else None
        if owner and entry.is_legacy:
            assert schema["properties"][entry.path[0]]["deprecated"] is True
    assert schema["$defs"]["Paths"]["properties"]["processing_subdir"]["deprecated"] is True
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["Ingestion"]["properties"]["queue_max_mb"]["description"].startswith("The bound")


def test_every_key_is_explained():
    assert [entry.key for entry in entries(Settings) if not entry.description] == []
