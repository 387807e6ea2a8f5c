"""A large upload that broke off goes on where it was: only the parts that are not there are sent, and all is right."""

import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from config.places import Place
from shared.errors import ObjectConflict, ObjectDamaged, StorageUnreachable
from storage.factory import object_store
from storage.s3_parts import parts_of
from tests.s3_servers import s3_place

PART = 5 << 20
NUMBERS = count()


def options_of(url, prefix, **more):
    return TypeAdapter(Place).validate_python(s3_place(url, prefix=prefix, **more)).options()


@pytest.fixture
def prefix():
    return f"resume/{next(NUMBERS)}"


@pytest.fixture
def store(ministack, prefix):
    return object_store(options_of(ministack, prefix), root=None)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "large"
    path.write_bytes(os.urandom(4 * PART + 12_345))
    return path


def parts_sent(store):
    """Numbers of the parts that a store sends from now on."""
    numbers, put_part = [], store._put_part

    def note(part, asked):
        numbers.append(asked["PartNumber"])
        return put_part(part, asked)

    store._put_part = note
    return numbers


def assert_whole(store, file):
    head = store.head("k")
    assert head.size_bytes == file.stat().st_size
    assert head.checksum.is_of(file)
    with store.get("k") as content:
        assert content.read() == file.read_bytes()
    assert list(store.unfinished()) == []


@given(chunks=st.lists(st.binary(max_size=12)), part_bytes=st.integers(1, 7))
def test_parts_are_the_content_cut_at_equal_distances(chunks: list[bytes], part_bytes: int) -> None:
    whole = b"".join(chunks)
    expected = [whole[start : start + part_bytes] for start in range(0, len(whole), part_bytes)]
    assert list(parts_of(iter(chunks), part_bytes)) == expected


KILLED = """
import sys, time
from pathlib import Path
from storage.factory import object_store

def chunks():
    with open(sys.argv[2], "rb") as file:
        yield file.read(int(sys.argv[3]))
        print("sent", flush=True)
        time.sleep(600)

object_store(eval(sys.argv[1]), root=None).put("k", chunks(), if_absent=True)
"""


def test_what_a_killed_process_began_is_gone_on_with(ministack, prefix, store, file):
    # With two parts under way, the third is begun when the first is there; the fourth is cut when the second is.
    own = [repr(options_of(ministack, prefix)), str(file), str(4 * PART + 1)]
    child = subprocess.Popen([sys.executable, "-c", KILLED, *own], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"sent\n"
    child.kill()
    child.communicate()
    assert len(list(store.unfinished())) == 1
    sent = parts_sent(store)
    assert store.put("k", file, if_absent=True) == store.head("k").etag
    assert {5} <= set(sent) <= {3, 4, 5}
    assert len(sent) == len(set(sent))
    assert_whole(store, file)


class Cable:
    """An address before another that can be cut."""

    def __init__(self, url):
        host, _, port = url.removeprefix("http://").partition(":")
        self._target, self._opened = (host, int(port)), []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def cut(self):
        for each in (self._listener, *self._opened):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _serve(self):
        try:
            while True:
                pair = (self._listener.accept()[0], socket.create_connection(self._target))
                self._opened.extend(pair)
                for source, target in (pair, pair[::-1]):
                    threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()
        except OSError:
            pass

    @staticmethod
    def _pass_on(source, target):
        try:
            while data := source.recv(1 << 16):
                target.sendall(data)
        except OSError:
            pass


def broken_off(url, prefix, content, *, after, **more):
    """Put a content up to a byte and cut the cable."""

    def chunks():
        yield content[:after]
        cable.cut()
        yield content[after:]

    cable = Cable(url)
    with pytest.raises(StorageUnreachable):
        object_store(options_of(cable.url, prefix, attempts_max=1), root=None).put("k", chunks(), **more)


def test_after_the_network_was_gone_it_goes_on(ministack, prefix, store, file):
    for _ in range(2):
        broken_off(ministack, prefix, file.read_bytes(), after=4 * PART + 1, if_absent=True)
    assert len(list(store.unfinished())) == 1  # the second attempt went on with the first
    sent = parts_sent(store)
    store.put("k", file, if_absent=True)
    assert {5} <= set(sent) <= {3, 4, 5}
    assert_whole(store, file)


@pytest.mark.parametrize("changed", [0, PART + 7, 4 * PART + 5])
def test_parts_of_another_content_are_sent_again(ministack, prefix, store, file, changed):
    """Which a name that is used once cannot have; but what is stored is what was given, whatever lies there."""
    other = bytearray(file.read_bytes())
    other[changed] ^= 1
    broken_off(ministack, prefix, bytes(other), after=3 * PART + 1, if_absent=True)
    store.put("k", file, if_absent=True)
    for left in store.unfinished():
        assert changed == 0  # it does not begin as ours does, so it was left to be swept
        store.discard(left)
    assert_whole(store, file)


def test_parts_of_another_size_are_not_gone_on_with(ministack, prefix, store, file):
    broken_off(ministack, prefix, file.read_bytes(), after=3 * PART + 1, if_absent=True)
    larger = object_store(options_of(ministack, prefix, part_mb=6), root=None)
    larger.put("k", file, if_absent=True)
    assert larger.head("k").checksum.part_bytes == 6 << 20
    (left,) = store.unfinished()
    store.discard(left)
    assert_whole(store, file)


def test_where_another_was_first_nothing_is_left(ministack, prefix, store, file):
    broken_off(ministack, prefix, file.read_bytes(), after=3 * PART + 1, if_absent=True)
    store.put("k", b"first")
    with pytest.raises(ObjectConflict):
        store.put("k", file, if_absent=True)
    assert list(store.unfinished()) == []


def test_what_fails_otherwise_leaves_nothing_to_go_on_with(store):
    def failing():
        yield bytes(3 * PART)
        raise ObjectDamaged("elsewhere", "for the test")

    with pytest.raises(ObjectDamaged):
        store.put("k", failing(), if_absent=True)
    assert list(store.unfinished()) == []


def test_a_store_that_keeps_no_checksum_of_parts_is_begun_anew(rclone, prefix, file):
    assert list(object_store(options_of(rclone, prefix), root=None).unfinished()) == []
    broken_off(rclone, prefix, file.read_bytes(), after=3 * PART + 1, if_absent=True)
    store = object_store(options_of(rclone, prefix), root=None)
    store.put("k", file, if_absent=True)
    with store.get("k") as content:
        assert content.read() == file.read_bytes()
    (left,) = store.unfinished()
    store.discard(left)
