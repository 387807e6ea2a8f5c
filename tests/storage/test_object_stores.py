"""One behaviour for every store: a folder, and a bucket on a real S3 server (see `tests.s3_servers`)."""

import errno
import os
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from config.places import Place
from shared.errors import ObjectConflict, ObjectDamaged, ObjectMissing, StorageRefused
from storage.base import ObjectContent, ObjectInfo
from storage.checksum import Checksum, Digest
from storage.factory import object_store
from tests.s3_servers import s3_place

PART = 5 << 20
NUMBERS = count()


def opened(place, root):
    """A store from the settings, the whole way that a command goes."""
    return object_store(TypeAdapter(Place).validate_python(place).options(), root=root)


FOR_MANY = pytest.mark.parametrize("place", ["local", "s3"], indirect=True)


@pytest.fixture(params=["local", "s3", "s3 without conditions"])
def place(request):
    """Settings of an empty store: a folder of its own, or a prefix of its own."""
    if request.param == "local":
        return {"type": "local"}
    url = request.getfixturevalue("ministack")
    return s3_place(url, prefix=f"tests/{next(NUMBERS)}", conditional_writes=request.param == "s3")


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


@pytest.fixture
def store(place, root):
    return opened(place, root)


def content_of(store, key, **options):
    with store.get(key, **options) as content:
        return content.read()


def keys_of(store, prefix=""):
    return [found.key for found in store.list(prefix)]


def test_what_was_put_is_what_is_got(store, tmp_path):
    file = tmp_path / "segment"
    file.write_bytes(b"from a file")
    store.put("a/bytes", b"from memory")
    store.put("a/file", file)
    store.put("a/chunks", iter([b"from ", b"", b"chunks"]))
    store.put("a/empty", b"")
    found = {key: content_of(store, key) for key in keys_of(store, "a/")}
    assert found == {
        "a/bytes": b"from memory",
        "a/chunks": b"from chunks",
        "a/empty": b"",
        "a/file": b"from a file",
    }


def test_a_store_takes_what_another_gives(store, tmp_path):
    (tmp_path / "other").mkdir()
    other = opened({"type": "local"}, tmp_path / "other")
    store.put("k", b"travels")
    with store.get("k") as content:
        other.put("k", content)
    with other.get("k") as content:
        store.put("back", content)
    assert content_of(store, "back") == b"travels"
    assert other.head("k").checksum == store.head("back").checksum


def test_a_head_has_the_checksum_and_a_listing_the_rest(store, tmp_path):
    file = tmp_path / "segment"
    file.write_bytes(b"123456789")
    etag = store.put("k", file)
    head = store.head("k")
    assert (head.key, head.size_bytes, head.etag) == ("k", 9, etag)
    assert head.checksum == Checksum(0xCBF43926)  # the check value of CRC-32
    assert head.checksum.is_of(file)
    assert head.last_modified.utcoffset() is not None
    (listed,) = store.list()
    assert (listed.key, listed.size_bytes, listed.etag, listed.checksum) == ("k", 9, etag, None)
    file.write_bytes(b"123456780")
    assert not head.checksum.is_of(file)


def test_the_listing_of_a_prefix_cut_anywhere_is_in_the_order_of_the_keys(store):
    day = "exchange=kraken/symbol=BTC-USD/year=2026/month=1/day="
    keys = [f"{day}2/hour=3/a", f"{day}2/hour=11/a", f"{day}2-x", f"{day}21/hour=0/a", "exchange=kraken/symbol=É/a"]
    for key in keys:
        store.put(key, b"x")
    assert keys_of(store) == sorted(keys)
    assert keys_of(store, f"{day}2/") == sorted(keys[:2])
    assert keys_of(store, f"{day}2") == sorted(keys[:4])
    assert keys_of(store, f"{day}2/hour=1") == [keys[1]]
    assert keys_of(store, "exchange=kraken/symbol=") == sorted(keys)
    assert keys_of(store, "nothing/") == keys_of(store, f"{keys[0]}/") == []


def test_what_is_missing_is_said_and_may_be_deleted(store):
    store.put("folder/k", b"x")
    for key in ("none", "none/at/all", "folder", "folder/k/below"):
        with pytest.raises(ObjectMissing, match=f"{key}: no such object"):
            store.head(key)
        with pytest.raises(ObjectMissing, match=f"{key}: no such object"):
            content_of(store, key)
    store.delete("none/at/all")
    store.delete("folder/k")
    store.delete("folder/k")
    assert keys_of(store) == []


def test_a_key_that_not_every_store_can_hold_is_refused(store):
    for key in ("", "/a", "a/", "a//b", ".", "a/../b", ".incoming/x", "a/.hidden", "a\nb", "ä" * 600):
        for verb in (store.head, store.delete, lambda key: store.put(key, b""), lambda key: content_of(store, key)):
            with pytest.raises(ValueError, match="not a key"):
                verb(key)
    for prefix in ("/", "/a", "../"):
        with pytest.raises(ValueError, match="not a key"):
            list(store.list(prefix))


def test_a_content_is_taken_from_any_byte_on(store):
    etag = store.put("k", b"0123456789")
    assert content_of(store, "k", start=7, if_match=etag) == b"789"
    with store.get("k", start=9) as content:
        assert content.info.size_bytes == 10
        assert b"".join(content) == b"9"
    with pytest.raises(ObjectConflict):
        content_of(store, "k", start=10)


def test_a_resumed_content_is_not_another_one(store):
    etag = store.put("k", b"0123456789")
    store.put("k", b"abcdefghij")
    with pytest.raises(ObjectConflict, match="/k: it"):
        content_of(store, "k", start=5, if_match=etag)


def test_what_fails_at_the_taker_is_not_blamed_on_the_store(store):
    store.put("k", b"x")
    with pytest.raises(OSError, match="elsewhere"), store.get("k"):
        raise OSError(errno.ENOSPC, "elsewhere")


def test_if_absent_is_won_once(store):
    store.put("k", b"first", if_absent=True)
    with pytest.raises(ObjectConflict, match="/k: it is"):
        store.put("k", b"second", if_absent=True)
    assert content_of(store, "k") == b"first"
    with pytest.raises(ValueError, match="exclude"):
        store.put("k", b"", if_absent=True, if_match="x")


@FOR_MANY
def test_of_many_that_create_one_object_one_succeeds(store):
    def create(number):
        barrier.wait()
        try:
            store.put("k", str(number).encode(), if_absent=True)
        except ObjectConflict:
            return None
        return number

    barrier = threading.Barrier(8)
    with ThreadPoolExecutor(8) as pool:
        (winner,) = [number for number in pool.map(create, range(8)) if number is not None]
    assert content_of(store, "k") == str(winner).encode()


def test_if_match_replaces_only_what_was_read(store):
    first = store.put("k", b"1")
    second = store.put("k", b"2", if_match=first)
    assert first != second
    with pytest.raises(ObjectConflict):
        store.put("k", b"lost update", if_match=first)
    with pytest.raises(ObjectConflict):
        store.delete("k", if_match=first)
    assert content_of(store, "k") == b"2"
    store.delete("k", if_match=second)
    for verb in (lambda: store.put("k", b"x", if_match=second), lambda: store.delete("k", if_match=second)):
        with pytest.raises(ObjectConflict, match="/k: it is gone"):
            verb()
    assert keys_of(store) == []


@FOR_MANY
def test_a_counter_kept_by_if_match_loses_nothing(store):
    def add_ten(_):
        done = 0
        while done < 10:
            with store.get("counter") as content:
                number, etag = int(content.read()), content.info.etag
            try:
                store.put("counter", f"{number + 1:06d}".encode(), if_match=etag)
            except ObjectConflict:
                continue
            done += 1

    store.put("counter", b"000000")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add_ten, range(4)))
    assert content_of(store, "counter") == b"000040"


def test_a_large_content_goes_up_in_parts_and_is_proven(store, tmp_path):
    file, copy = tmp_path / "large", tmp_path / "copy"
    file.write_bytes(os.urandom(2 * PART + 12_345))
    etag = store.put("large", file, if_absent=True)
    head = store.head("large")
    assert (head.size_bytes, head.etag) == (file.stat().st_size, etag)
    assert head.checksum.is_of(file)
    with store.get("large") as content, copy.open("wb") as target:
        target.writelines(content)
    assert copy.read_bytes() == file.read_bytes()
    assert content_of(store, "large", start=2 * PART) == file.read_bytes()[2 * PART :]
    with pytest.raises(ObjectConflict):
        store.put("large", file, if_absent=True)
    with pytest.raises(ObjectConflict):
        store.put("large", file, if_match="another")
    assert store.put("large", file, if_match=etag)
    assert list(store.unfinished()) == []


@pytest.mark.parametrize("size_bytes", [PART - 1, PART, PART + 1, 2 * PART], ids=str)
def test_parts_end_where_they_should(store, size_bytes, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(os.urandom(size_bytes))
    store.put("k", file)
    assert store.head("k").checksum.is_of(file)
    assert content_of(store, "k") == file.read_bytes()


def test_a_content_that_fails_on_its_way_leaves_nothing(store):
    def failing():
        yield bytes(2 * PART)
        yield bytes(PART)
        raise ObjectDamaged("elsewhere", "for the test")

    for content in (failing(), iter([b"", 1])):
        with pytest.raises((ObjectDamaged, TypeError)):
            store.put("k", content)
    assert keys_of(store) == []
    assert list(store.unfinished()) == []


KILLED = """
import sys, time
from pathlib import Path
from storage.factory import object_store

def endless():
    yield bytes(11 << 20)
    print("sent", flush=True)
    time.sleep(600)

object_store(eval(sys.argv[1]), root=Path(sys.argv[2])).put("folder/k", endless())
"""


def test_what_a_killed_process_left_is_invisible_and_can_be_swept(place, store, root):
    options = TypeAdapter(Place).validate_python(place).options()
    child = subprocess.Popen([sys.executable, "-c", KILLED, repr(options), str(root)], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"sent\n"
    child.kill()
    child.communicate()
    (upload,) = store.unfinished()
    assert upload.key.endswith("k")
    assert upload.started_at.utcoffset() is not None
    assert keys_of(store) == []
    store.discard(upload)
    store.discard(upload)
    assert list(store.unfinished()) == []
    store.put("folder/k", b"again")
    assert content_of(store, "folder/k") == b"again"


def test_a_content_of_any_size_takes_little_memory(store):
    chunk, chunks = bytes(1 << 20), 110
    tracemalloc.start()
    try:
        store.put("k", (chunk for _ in range(chunks)))
        with store.get("k") as content:
            assert sum(map(len, content)) == chunks << 20
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 40 << 20


def test_a_missing_store_is_not_an_empty_one(place, tmp_path):
    store = opened(place if place["type"] == "local" else {**place, "bucket": "not-there"}, tmp_path / "not-there")
    for verb in (
        lambda: list(store.list()),
        lambda: store.head("k"),
        lambda: content_of(store, "k"),
        lambda: store.put("k", b""),
        lambda: store.put("k", iter([bytes(PART), bytes(PART)])),
        lambda: store.put("k", b"", if_absent=True),
        lambda: store.delete("k"),
        lambda: list(store.unfinished()),
    ):
        with pytest.raises(StorageRefused, match=r"no such (folder|bucket)") as refused:
            verb()
        assert "not-there" in refused.value.line()
        assert "\n" not in refused.value.line()
    assert not (tmp_path / "not-there").exists()


KEYS = st.sampled_from(["a-b", "a/b", "ab", "b/a", "b/c/d"])
STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "create", "replace", "delete", "delete_if"]), KEYS, st.binary(max_size=3)),
    max_size=12,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=STEPS)
def test_a_store_is_a_dictionary(store, steps):
    """Any run of conditional and plain verbs leaves what it would leave in a dictionary."""
    for found in store.list():
        store.delete(found.key)
    expected: dict[str, bytes] = {}
    etags: dict[str, str] = {}
    for verb, key, content in steps:
        known = etags.get(key, "none")
        allowed = {"create": key not in expected, "replace": key in expected, "delete_if": key in expected}
        try:
            if verb in {"delete", "delete_if"}:
                store.delete(key, if_match=known if verb == "delete_if" else None)
            else:
                condition = {"create": {"if_absent": True}, "replace": {"if_match": known}}.get(verb, {})
                etags[key] = store.put(key, content, **condition)
        except ObjectConflict:
            assert not allowed[verb]
            continue
        assert allowed.get(verb, True)
        expected.pop(key, None)
        if verb not in {"delete", "delete_if"}:
            expected[key] = content
    assert {found.key: (found.size_bytes, found.etag) for found in store.list()} == {
        key: (len(content), etags[key]) for key, content in expected.items()
    }
    assert {key: content_of(store, key) for key in expected} == expected


@given(chunks=st.lists(st.binary(max_size=9)), part_bytes=st.integers(1, 7))
def test_a_checksum_does_not_depend_on_how_the_content_is_cut(chunks: list[bytes], part_bytes: int) -> None:
    for size in (None, part_bytes):
        cut, whole = Digest(part_bytes=size), Digest(part_bytes=size)
        for chunk in chunks:
            cut.update(chunk)
        whole.update(b"".join(chunks))
        assert cut.checksum() == whole.checksum()


def info(content: bytes, **more: object) -> ObjectInfo:
    digest = Digest()
    digest.update(content)
    known = {"key": "k", "size_bytes": len(content), "etag": "e", "last_modified": None, "checksum": digest.checksum()}
    return ObjectInfo(**{**known, **more})


@pytest.mark.parametrize("came", [b"", b"conten", b"contents", b"CONTENT"])
def test_a_content_that_is_not_what_was_announced_is_not_taken_for_whole(came: bytes) -> None:
    def chunks() -> Iterator[bytes]:
        yield came

    with pytest.raises(ObjectDamaged):
        ObjectContent(info(b"content"), chunks(), place="here").read()


def test_local_files_of_others_are_seen_and_hidden_ones_are_not(tmp_path: Path) -> None:
    (tmp_path / "day").mkdir()
    (tmp_path / "day" / "theirs.parquet").write_bytes(b"123456789")
    (tmp_path / ".trash").mkdir()
    (tmp_path / ".trash" / "x").write_bytes(b"")
    store = opened({"type": "local"}, tmp_path)
    store.put("ours", b"")
    assert keys_of(store) == ["day/theirs.parquet", "ours"]
    assert store.head("day/theirs.parquet").checksum == Checksum(0xCBF43926)
