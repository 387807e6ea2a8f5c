"""The short way of a put: taken where it can be, signed right, and left to botocore for whatever is not a success."""

import random
from hashlib import sha256

import pytest
from pydantic import TypeAdapter

from config.places import Place
from shared.errors import ObjectConflict
from storage.factory import object_store
from tests.s3_servers import answering, free_port, s3_place
from tests.storage.test_s3_storage import send

KEYS = ["k", "day=1/ä b+c=&?", "a/~tilde/%41/'quoted'(1)*"]


def store_of(url, **more):
    return object_store(TypeAdapter(Place).validate_python(s3_place(url, **more)).options(), root=None)


def without_botocore(store):
    """The store, where a put that is left to botocore fails the test."""
    store._client.put_object = store._client.upload_part = None
    return store


@pytest.mark.parametrize("key", KEYS)
def test_rclone_takes_the_signature(rclone, key):
    store = without_botocore(store_of(rclone, prefix="direct ä"))
    store.put(key, b"0123456789")
    assert store.head(key).size_bytes == 10
    store.delete(key)


@pytest.mark.parametrize("key", KEYS)
def test_parts_go_the_short_way_too(rclone, ministack, key):
    for url in (rclone, ministack):  # the one checks signatures, the other checksums
        store = without_botocore(store_of(url, prefix="direct ä"))
        content = random.Random(0).randbytes((5 << 20) + 1)
        store.put(key, content)
        with store.get(key) as there:
            assert there.read() == content
        store.delete(key)


def test_a_part_names_its_upload_whatever_that_is_called():
    asked = []

    def answer(request):
        _, _, question = request.path.partition("?")
        body = b""
        if request.command == "POST" and question == "uploads":
            body = b"<R><Bucket>lake</Bucket><Key>k</Key><UploadId>a+b/c=~ &amp;d</UploadId></R>"
        elif request.command == "POST":
            body = b"<R><ETag>&quot;e&quot;</ETag></R>"
        else:
            asked.append(question)
        send(request, 200, body, headers={"ETag": '"e"'})

    with answering(answer) as url:
        assert without_botocore(store_of(url)).put("k", bytes(6 << 20)) == "e"
    assert sorted(asked) == [f"partNumber={number}&uploadId=a%2Bb%2Fc%3D~%20%26d" for number in (1, 2)]


def test_conditions_are_kept(ministack):
    store = without_botocore(store_of(ministack, prefix="direct"))
    etag = store.put("k", b"1", if_absent=True)
    for condition in ({"if_absent": True}, {"if_match": "0" * 32}):
        with pytest.raises(ObjectConflict, match="k: it is not in the state"):
            store.put("k", b"2", **condition)
    assert store.put("k", b"3", if_match=etag) == store.head("k").etag


def test_what_is_sent_is_signed_whole_or_sent_over_tls(monkeypatch):
    seen = []

    def answer(request):
        seen.append(dict(request.headers))
        send(request, 200, b"", headers={"ETag": '"e"'})

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDTEMPORARY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    with answering(answer) as url:
        store = store_of(url, access_key_id=None, secret_access_key=None)
        assert without_botocore(store).put("k", b"123456789") == "e"
    (headers,) = seen
    assert headers["x-amz-content-sha256"] == sha256(b"123456789").hexdigest()
    assert headers["x-amz-checksum-crc32"] == "y/Q5Jg=="
    assert headers["x-amz-security-token"] == "token"
    signed = "SignedHeaders=host;x-amz-checksum-crc32;x-amz-content-sha256;x-amz-date;x-amz-security-token,"
    assert signed in headers["authorization"]
    assert "expect" not in {name.lower() for name in headers}


@pytest.mark.parametrize(("refusal", "stays"), [(503, True), (500, True), (403, False), (307, False)])
def test_what_it_does_not_get_done_botocore_does(refusal, stays):
    """And where the one is refused what the other is not, the short way is not tried again."""
    requests = []

    def answer(request):
        is_ours = "User-Agent" in request.headers and request.headers["User-Agent"].startswith("python-urllib3")
        requests.append(is_ours)
        send(request, refusal if is_ours else 200, b"", headers={"ETag": '"e"', "Location": "/elsewhere"})

    with answering(answer) as url:
        store = store_of(url)
        assert [store.put("k", b"x"), store.put("k", b"x")] == ["e", "e"]
    assert requests == [True, False, True, False] if stays else [True, False, False]


def test_an_answer_that_does_not_come_is_asked_for_again():
    requests = []

    def answer(request):
        requests.append(request.command)
        if len(requests) == 1:
            request.close_connection = True
        else:
            send(request, 200, b"", headers={"ETag": '"e"'})

    with answering(answer) as url:
        assert store_of(url).put("k", b"x") == "e"
    assert requests == ["PUT", "PUT"]


def test_it_is_not_taken_past_a_proxy_nor_without_keys(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    url = f"http://127.0.0.1:{free_port()}"
    assert store_of(url)._direct
    assert store_of(url, access_key_id=None, secret_access_key=None, anonymous=True)._direct is None
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert store_of(url)._direct is None
