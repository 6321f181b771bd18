import asyncio
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import boto3
import pytest
from gyre_ingestion.adapters.addresses import AddressError, Gate
from gyre_ingestion.adapters.buckets import BucketImporter
from gyre_ingestion.adapters.folders import FolderImporter
from gyre_ingestion.adapters.urls import UrlImporter
from gyre_ingestion.ports import Found, ImportRefusedError
from gyre_ingestion.use_cases.importing import Import
from moto.server import ThreadedMotoServer
from obstore.store import S3Store

LIMIT = 100


async def all_of(importer: Any, *place: str) -> list[Found]:
    return [found async for found in importer.fetch(place)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "allowed"
    (root / "sub").mkdir(parents=True)
    (root / "a.txt").write_text("a")
    (root / "sub" / "b.txt").write_text("b")
    (root / ".hidden").write_text("no")
    (tmp_path / "secret.txt").write_text("secret")
    return root


async def test_a_folder_gives_its_files_by_path_and_no_hidden_ones(root: Path) -> None:
    found = await all_of(FolderImporter([root], LIMIT), str(root))
    expected = [Found(str(root / "a.txt"), b"a"), Found(str(root / "sub/b.txt"), b"b")]
    assert found == expected


@pytest.mark.parametrize("place", ["..", "sub/../..", "", "absent", "a.txt", "a\0b"])
async def test_a_folder_outside_of_the_roots_is_refused(root: Path, place: str) -> None:
    with pytest.raises(ImportRefusedError):
        await all_of(FolderImporter([root], LIMIT), f"{root}/{place}" if place else "/etc")


async def test_a_link_out_of_the_root_is_an_error_of_that_file_alone(root: Path) -> None:
    (root / "link.txt").symlink_to(root.parent / "secret.txt")
    (root / "large.txt").write_bytes(b"x" * (LIMIT + 1))
    found = {one.source_uri: one for one in await all_of(FolderImporter([root], LIMIT), str(root))}
    assert found[str(root / "link.txt")].error
    assert found[str(root / "large.txt")].error
    assert found[str(root / "a.txt")].content == b"a"
    assert not any(one.content == b"secret" for one in found.values())


async def test_no_root_no_host_no_bucket_means_no_import(root: Path) -> None:
    refused = [
        (FolderImporter([], LIMIT), [str(root)]),
        (UrlImporter(Gate([]), LIMIT), ["http://example.org/"]),
        (BucketImporter([], S3Store, LIMIT), ["bucket", ""]),
    ]
    for importer, place in refused:
        with pytest.raises(ImportRefusedError):
            await all_of(importer, *place)


class Site(BaseHTTPRequestHandler):
    pages: ClassVar[dict[str, tuple[int, dict[str, str], bytes]]] = {
        "/page": (200, {}, b"a page"),
        "/moved": (302, {"Location": "/page"}, b""),
        "/away": (302, {"Location": "http://elsewhere.test/page"}, b""),
        "/loop": (302, {"Location": "/loop"}, b""),
        "/large": (200, {}, b"x" * (LIMIT + 1)),
        "/broken": (500, {}, b""),
    }

    def do_GET(self) -> None:
        status, headers, body = self.pages.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def gate(*, private: bool = True, ip: str = "127.0.0.1") -> Gate:
    async def resolve(host: str, port: int) -> Sequence[str]:
        await asyncio.sleep(0)
        return [ip]

    return Gate(["site.test", "*.wild.test"], allow_private=private, resolve=resolve)


async def test_addresses_are_fetched_and_each_failure_is_its_own(port: int) -> None:
    importer = UrlImporter(gate(), LIMIT)
    pages = ["page", "moved", "away", "loop", "large", "broken", "absent"]
    found = await all_of(importer, *(f"http://site.test:{port}/{page}" for page in pages))
    contents = [one.content for one in found]
    assert contents == [b"a page", b"a page", b"", b"", b"", b"", b""]
    assert [bool(one.error) for one in found] == [False, False, True, True, True, True, True]
    assert "elsewhere.test" in found[2].error


@pytest.mark.parametrize(
    "address",
    [
        "http://other.test/",
        "http://site.test.evil.test/",
        "http://evilwild.test/",
        "file:///etc/passwd",
        "ftp://site.test/",
        "http://user:secret@site.test/",
        "http://",
        "not an address",
        "http://site.test\n.evil.test/",
    ],
)
async def test_an_address_that_is_not_allowed_is_not_fetched(address: str) -> None:
    with pytest.raises(AddressError):
        await gate().check(address)


@pytest.mark.parametrize(
    "ip",
    [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "::1",
        "::ffff:10.0.0.1",
        "fd00::1",
        "0.0.0.0",
        "224.0.0.1",
    ],
)
async def test_an_allowed_name_of_a_private_address_is_not_fetched(ip: str) -> None:
    with pytest.raises(AddressError, match="private"):
        await gate(private=False, ip=ip).check("http://site.test/")


async def test_a_public_address_of_an_allowed_name_passes() -> None:
    target = await gate(private=False, ip="93.184.216.34").check("https://a.wild.test:8443/x?y=1")
    assert (target.ip, target.url.path) == ("93.184.216.34", "/x")


async def test_a_bucket_gives_the_objects_below_the_prefix() -> None:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        url = "http://{}:{}".format(*server.get_host_and_port())
        fill(url, {"docs/a.txt": b"a", "docs/large": b"x" * (LIMIT + 1), "dogs/b.txt": b"b"})
        importer = BucketImporter(["public"], lambda bucket: opened(url, bucket), LIMIT)
        found = await all_of(importer, "public", "doc")
    finally:
        server.stop()
    assert found[0] == Found("s3://public/docs/a.txt", b"a")
    assert [bool(one.error) for one in found] == [False, True]


def fill(url: str, objects: dict[str, bytes]) -> None:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)
    client.create_bucket(Bucket="public")
    for key, body in objects.items():
        client.put_object(Bucket="public", Key=key, Body=body)


def opened(url: str, bucket: str) -> S3Store:
    return S3Store(
        bucket,
        endpoint=url,
        access_key_id="test",
        secret_access_key="test",
        region="us-east-1",
        client_options={"allow_http": True},
    )


async def test_an_import_uploads_what_it_finds_and_names_what_it_cannot(
    story: Any, root: Path
) -> None:
    (root / "large.txt").write_bytes(b"x" * (LIMIT + 1))
    imports = Import(story.uploads)
    importer = FolderImporter([root], LIMIT)
    run = imports.run("acme", "faq", {"team": "one"}, importer, [str(root)])
    done = [imported async for imported in run]
    assert [imported.found_count for imported in done] == [1, 2, 3]
    assert [bool(imported.error) for imported in done] == [False, True, False]
    document = done[0].document
    assert (document.collection, document.metadata) == ("faq", {"team": "one"})
    assert document.source_uri == str(root / "a.txt")
