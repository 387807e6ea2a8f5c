"""What S3 alone can get wrong: credentials, addresses, clocks, networks, lies; each is one line without a secret."""

import shutil
import socket
import ssl
import subprocess
import threading
import traceback
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from config.places import Place
from shared.errors import (
    ObjectConflict,
    ObjectDamaged,
    SettingsInvalid,
    StorageFailed,
    StorageRefused,
    StorageUnreachable,
)
from storage.factory import object_store
from tests.s3_servers import KEY_ID, SECRET, answering, free_port, s3_place

PART = 5 << 20


def store_of(url, **more):
    options = TypeAdapter(Place).validate_python(s3_place(url, **more)).options()
    return object_store(options, root=None)


def content_of(store, key, **options):
    with store.get(key, **options) as content:
        return content.read()


def said(error):
    """The error's line, after a look for secrets and line ends wherever the error may be shown."""
    shown = "".join(traceback.format_exception(error)) + repr(error) + error.line()
    assert SECRET not in shown
    assert KEY_ID not in shown
    assert "\n" not in error.line()
    return error.line()


def refusal(store, kind=StorageRefused):
    """What every verb says alike."""
    lines = set()
    for verb in (lambda: next(store.list(), None), lambda: content_of(store, "k"), lambda: store.put("k", b"x")):
        with pytest.raises(kind) as raised:
            verb()
        lines.add(said(raised.value).replace("s3://lake/k", "s3://lake"))
    (line,) = lines
    return line


def test_rclone_takes_our_signature_and_no_other(rclone):
    """Signatures are checked by rclone alone, so this is their test; its faults with conditions are not ours."""
    store = store_of(rclone)
    store.put("day=1/ä b+c=&?", b"0123456789")
    assert [found.key for found in store.list("day=1/")] == ["day=1/ä b+c=&?"]
    assert store.head("day=1/ä b+c=&?").size_bytes == 10
    assert content_of(store, "day=1/ä b+c=&?") == b"0123456789"
    assert content_of(store, "day=1/ä b+c=&?", start=7) == b"789"  # with status 200, but with the right Content-Range
    store.put("large", bytes(2 * PART + 1))
    assert store.head("large").checksum is None  # it keeps none of an object put in parts
    assert len(content_of(store, "large")) == 2 * PART + 1
    store.delete("large")
    assert "secret key does not belong" in refusal(store_of(rclone, secret_access_key="wrong"))
    assert "not known" in refusal(store_of(rclone, access_key_id="AKIDUNKNOWN"))


@pytest.mark.parametrize(
    ("code", "status", "kind", "words"),
    [
        ("SignatureDoesNotMatch", 403, StorageRefused, "the secret key does not belong to the access key"),
        ("InvalidAccessKeyId", 403, StorageRefused, "the access key is not known"),
        ("AccessDenied", 403, StorageRefused, "access denied"),
        ("ExpiredToken", 400, StorageRefused, "the session token has expired"),
        ("NoSuchBucket", 404, StorageRefused, "no such bucket"),
        ("PermanentRedirect", 301, StorageRefused, "it redirects elsewhere"),
        ("AuthorizationHeaderMalformed", 400, StorageRefused, "another region"),
        ("NotImplemented", 501, StorageRefused, "does not know this kind of request"),
        ("QuotaExceeded", 403, StorageRefused, "refused: QuotaExceeded in so many words"),
        ("SlowDown", 503, StorageUnreachable, "busy or failing (SlowDown)"),
        ("InternalError", 500, StorageUnreachable, "busy or failing (InternalError)"),
    ],
)
def test_what_a_store_answers_is_said_in_a_line(code, status, kind, words):
    def answer(request):
        text = f"<Error><Code>{code}</Code><Message>in so\nmany words</Message><Id>{KEY_ID}</Id></Error>"
        send(request, status, text.encode())

    with answering(answer) as url:
        assert words in refusal(store_of(url, attempts_max=1), kind)


@pytest.mark.parametrize(("hours", "words"), [(-5, "5 h 0 min ahead of"), (30, "30 h 0 min behind")])
@pytest.mark.parametrize("code", ["RequestTimeTooSkewed", "SignatureDoesNotMatch"])
def test_a_clock_that_is_off_is_told_from_a_wrong_key(code, hours, words):
    def answer(request):
        theirs = datetime.now(UTC) + timedelta(hours=hours, seconds=2)
        send(request, 403, f"<Error><Code>{code}</Code></Error>".encode(), date=theirs)

    with answering(answer) as url:
        line = refusal(store_of(url))
    assert f"this machine's clock is {words} the store's" in line.replace("4 h 59", "5 h 0").replace(
        "29 h 59", "30 h 0"
    )
    assert "timedatectl" in line


def test_a_store_that_is_not_there_is_unreachable(ministack):
    url = f"http://127.0.0.1:{free_port()}"
    line = refusal(store_of(url, attempts_max=1), StorageUnreachable)
    assert f"s3://lake: no answer from {url} (EndpointConnectionError)" in line
    assert "no answer" in refusal(store_of("http://none.invalid", attempts_max=1), StorageUnreachable)


def test_a_store_that_never_answers_is_unreachable():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert "no answer" in refusal(store_of(url, attempts_max=1, timeout_s=0.2), StorageUnreachable)


@pytest.mark.parametrize("page", [b"<html>It works!</html>", b""], ids=["page", "empty"])
def test_what_is_no_s3_is_not_an_empty_store(page):
    """A login page of a hotel's network answers everything with 200."""
    with answering(lambda request: send(request, 200, page)) as url:
        store = store_of(url, attempts_max=1)
        assert "what answers there is not S3" in refusal(store)
        with pytest.raises(StorageRefused, match="is not S3"):
            store.head("k")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"endpoint_url": "s3.example.com"}, "endpoint_url 's3.example.com', expected an address such as https://"),
        ({"endpoint_url": "https://:9000"}, "endpoint_url 'https://:9000', expected an address"),
        ({"endpoint_url": f"https://me:{SECRET}@host"}, "endpoint_url one with a user or password"),
        ({"access_key_id": None}, "one of access_key_id and secret_access_key"),
        ({"anonymous": True}, "both anonymous and an access_key_id"),
        ({"ca_file": Path("none.pem")}, "ca_file none.pem, which is no file"),
        ({"part_mb": 1}, "part_mb 1, expected 5 to 5120"),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_a_request(more, words):
    good = TypeAdapter(Place).validate_python(s3_place("http://127.0.0.1:1")).options()
    with pytest.raises(SettingsInvalid) as refused:
        object_store({**good, **more}, root=None)
    assert words in said(refused.value)


def test_a_bucket_name_that_is_none_is_refused():
    good = TypeAdapter(Place).validate_python(s3_place("http://127.0.0.1:1")).options()
    with pytest.raises(StorageFailed) as refused:
        next(object_store({**good, "bucket": "No Such/Name"}, root=None).list(), None)
    assert "Invalid bucket name" in said(refused.value)


def test_credentials_come_from_the_settings_the_environment_or_nowhere(monkeypatch, tmp_path):
    seen = []

    def answer(request):
        seen.append(request.headers.get("Authorization", "none"))
        send(request, 200, b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")

    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    none = {"access_key_id": None, "secret_access_key": None}
    with answering(answer) as url:
        assert "no credentials on this machine" in refusal(store_of(url, **none))
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENVIRONMENT")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        for more in ({}, none, {**none, "region": "eu-west-1"}, {**none, "anonymous": True}):
            assert list(store_of(url, **more).list()) == []
    assert [f"Credential={KEY_ID}/" in seen[0], "us-east-1" in seen[0]] == [True, True]
    assert "Credential=AKIDENVIRONMENT/" in seen[1]
    assert "/eu-west-1/s3/" in seen[2]
    assert seen[3] == "none"


def test_a_request_that_fails_once_is_tried_again():
    tries = []

    def answer(request):
        tries.append(request.headers["x-amz-checksum-crc32"])
        status = 503 if len(tries) == 1 else 200
        send(request, status, b"", headers={"ETag": '"e"'})

    with answering(answer) as url:
        assert store_of(url).put("k", b"123456789") == "e"
    assert tries == ["y/Q5Jg=="] * 2


@pytest.mark.parametrize(
    ("body", "headers", "kind"),
    [
        (b"01234", {"Content-Length": "10"}, StorageUnreachable),
        (b"0123456780", {"x-amz-checksum-crc32": "phS5VA=="}, ObjectDamaged),
    ],
    ids=["cut off", "spoilt"],
)
def test_a_content_damaged_on_its_way_here_is_not_taken(body, headers, kind):
    def answer(request):
        send(
            request, 200, body, headers={"ETag": '"e"', "Last-Modified": format_datetime(datetime.now(UTC)), **headers}
        )
        request.close_connection = True

    with answering(answer) as url, pytest.raises(kind) as damaged:
        content_of(store_of(url), "k")
    said(damaged.value)


def test_a_content_damaged_on_its_way_there_is_not_kept(ministack, monkeypatch):
    """The store compares the CRC-32 of every request; a proxy that spoils bodies is stood in for by a wrong CRC."""
    store = store_of(ministack, prefix="damaged")
    for module in ("s3", "s3_parts"):
        monkeypatch.setattr(f"storage.{module}.crc32_text", lambda _: "AAAAAA==")
    for content in (b"x", iter([bytes(PART), bytes(PART)])):
        with pytest.raises(ObjectDamaged, match="what arrived at the store is not what was sent") as damaged:
            store.put("k", content)
        said(damaged.value)
    assert list(store.list()) == []
    assert list(store.unfinished()) == []


def test_a_store_that_ignores_ranges_is_not_resumed_from():
    def answer(request):
        send(request, 200, b"0123456789", headers={"ETag": '"e"', "Last-Modified": format_datetime(datetime.now(UTC))})

    with answering(answer) as url, pytest.raises(StorageRefused, match="ignores ranges"):
        content_of(store_of(url), "k", start=5)


def test_a_listing_longer_than_a_page_is_whole_and_read_as_needed(ministack):
    store, pages = store_of(ministack, prefix="pages"), []

    def ten_at_once(params, **_):
        params["MaxKeys"] = 10
        pages.append(params["Prefix"])

    store._client.meta.events.register("before-parameter-build.s3.ListObjectsV2", ten_at_once)
    keys = [f"day={day}/{number:02d}" for day in (1, 2) for number in range(25)]
    for key in keys:
        store.put(key, b"")
    assert [found.key for found in store.list("day=1/")] == keys[:25]
    assert pages == ["pages/day=1/"] * 3
    assert next(store.list()).key == keys[0]
    assert len(pages) == 4


def test_what_other_tools_put_as_a_folder_is_not_listed(ministack):
    store = store_of(ministack, prefix="others")
    for key in ("day/", "day/.hidden", "day/k"):
        store._client.put_object(Bucket="lake", Key=f"others/{key}", Body=b"")
    assert [found.key for found in store.list()] == ["day/k"]


def test_more_parts_than_s3_takes_are_refused_and_swept(ministack, monkeypatch):
    monkeypatch.setattr("storage.s3_parts._PARTS_MAX", 2)
    store = store_of(ministack, prefix="many")
    with pytest.raises(StorageRefused, match="larger than 2 parts of 5 MB"):
        store.put("k", iter([bytes(PART)] * 3))
    assert list(store.unfinished()) == []


def test_the_bucket_may_stand_in_the_host_and_the_certificate_be_our_own(ministack, tmp_path, monkeypatch):
    """Virtual style over TLS with a certificate of our own authority, in front of ministack."""
    if not shutil.which("openssl"):
        pytest.skip("making a certificate needs openssl")
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        "socket.getaddrinfo",
        lambda host, *rest, **more: resolve("127.0.0.1" if host.endswith(".localhost") else host, *rest, **more),
    )
    with tls_before(ministack, tmp_path) as (url, certificate):
        store = store_of(url, addressing="virtual", ca_file=certificate, prefix="virtual")
        store.put("k", b"x", if_absent=True)
        with pytest.raises(ObjectConflict):
            store.put("k", b"x", if_absent=True)
        assert content_of(store, "k") == b"x"
        assert "certificate is not trusted" in refusal(store_of(url, addressing="virtual", attempts_max=1))
    assert content_of(store_of(ministack, prefix="virtual"), "k") == b"x"


def send(request, status, body, *, date=None, headers=None):
    request.send_response_only(status)
    request.send_header("Date", format_datetime(date or datetime.now(UTC), usegmt=True))
    for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
        request.send_header(name, value)
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(body)


@contextmanager
def tls_before(url, folder):
    """An address that speaks TLS and passes each connection on to `url`, and the certificate to trust."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run(
        [
            *command,
            "-addext",
            "subjectAltName=DNS:*.s3.localhost,DNS:s3.localhost",
            "-keyout",
            key,
            "-out",
            certificate,
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    host, _, port = url.removeprefix("http://").partition(":")

    def pass_on(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def serve():
        while True:
            try:
                plain = listener.accept()[0]
            except OSError:
                return
            try:
                client = context.wrap_socket(plain, server_side=True)
            except OSError:
                plain.close()
                continue
            server = socket.create_connection((host, int(port)))
            opened.extend((client, server))
            for pair in ((client, server), (server, client)):
                threading.Thread(target=pass_on, args=pair, daemon=True).start()

    opened = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"https://s3.localhost:{listener.getsockname()[1]}", certificate
        listener.shutdown(socket.SHUT_RDWR)
    for each in opened:
        each.close()
