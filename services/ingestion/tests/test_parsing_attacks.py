import asyncio
import io
import os
import signal
import sys
import textwrap
import zipfile
import zlib
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import pytest_asyncio
from gyre_ingestion.adapters.parsing.parser import SubprocessParser
from gyre_ingestion.domain.limits import Limits
from gyre_ingestion.domain.parsed import Rejected, RejectionReason

CONTENT_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType='
    '"application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/word/document.xml" ContentType='
    '"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
RELATIONSHIPS = (
    '<?xml version="1.0"?><Relationships '
    'xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r1" Target="word/document.xml" Type='
    '"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"/>'
    "</Relationships>"
)
WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def zipped(members: Mapping[str, bytes | str], level: int = 9) -> bytes:
    """A zip archive of these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def word(body: str, prolog: str = "") -> bytes:
    """A Word file with this body; `prolog` stands before its root element."""
    document = (
        f'<?xml version="1.0"?>{prolog}<w:document xmlns:w="{WORD}"><w:body>'
        f"<w:p><w:r><w:t>{body}</w:t></w:r></w:p></w:body></w:document>"
    )
    return zipped(
        {
            "[Content_Types].xml": CONTENT_TYPES,
            "_rels/.rels": RELATIONSHIPS,
            "word/document.xml": document,
        }
    )


def pdf(*objects: bytes) -> bytes:
    """A PDF of these objects, numbered from 1; the first is the catalogue."""
    body, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    return body + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n"
        b"<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (size, table, size, len(body))
    )


def stream(content: bytes) -> bytes:
    """A compressed stream object."""
    packed = zlib.compress(content, 9)
    return b"<</Length %d/Filter/FlateDecode>>stream\n%s\nendstream" % (len(packed), packed)


CATALOGUE = b"<</Type/Catalog/Pages 2 0 R>>"
FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"


def pdf_of_pages(count: int) -> bytes:
    """One page object, named `count` times by a page tree."""
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>"
    return pdf(CATALOGUE, b"<</Type/Pages/Count %d/Kids[%s]>>" % (count, b"3 0 R " * count), page)


def pdf_with_content(content: bytes) -> bytes:
    """One page that draws this content."""
    page = (
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R"
        b"/Resources<</Font<</F 5 0 R>>>>>>"
    )
    tree = b"<</Type/Pages/Count 1/Kids[3 0 R]>>"
    return pdf(CATALOGUE, tree, page, stream(content), FONT)


LIMIT, UNSAFE = RejectionReason.LIMIT_EXCEEDED, RejectionReason.UNSAFE
CORRUPT, ENCRYPTED = RejectionReason.CORRUPT, RejectionReason.ENCRYPTED
NESTED = zipped({"a.zip": zipped({"b.zip": zipped({"c.zip": zipped({"d.txt": "Hello."})})})})
OUTSIDE = '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
LAUGHS = '<!DOCTYPE d [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>'


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def parser() -> AsyncIterator[SubprocessParser]:
    limits = Limits(seconds=20, memory_bytes=700_000_000, text_length=500_000)
    parser = SubprocessParser(limits, workers=1)
    yield parser
    await parser.close()


async def verdict(parser: SubprocessParser, content: bytes, name: str = "file") -> RejectionReason:
    with pytest.raises(Rejected) as caught:
        await parser.parse(content, name)
    assert caught.value.detail.endswith(".")
    return caught.value.reason


def overlapping() -> bytes:
    """Two directory entries that share one member's bytes."""
    archive = zipped({"a.txt": os.urandom(3_000)})
    start = archive.index(b"PK\x01\x02")
    end = archive.index(b"PK\x05\x06")
    entry, tail = archive[start:end], bytearray(archive[end:])
    tail[8:12] = (2).to_bytes(2, "little") * 2
    tail[12:16] = (2 * len(entry)).to_bytes(4, "little")
    return archive[:start] + entry + entry.replace(b"a.txt", b"b.txt") + bytes(tail)


ATTACKS: dict[str, tuple[Callable[[], bytes], RejectionReason]] = {
    "a bomb of one member": (lambda: zipped({"a.txt": b"0" * 30_000_000}, 1), LIMIT),
    "ten thousand members": (
        lambda: zipped({f"{n}.txt": b"x" for n in range(10_000)}, 0),
        LIMIT,
    ),
    "archives in archives": (lambda: NESTED, LIMIT),
    "a path that leads out": (lambda: zipped({"../../etc/passwd": b"x"}), UNSAFE),
    "an absolute path": (lambda: zipped({"/etc/passwd": b"x"}), UNSAFE),
    "a drive": (lambda: zipped({"C:\\autoexec.bat": b"x"}), UNSAFE),
    "overlapping members": (overlapping, UNSAFE),
    "an external entity in Word": (lambda: word("&x;", OUTSIDE), UNSAFE),
    "nested entities in Word": (lambda: word("&b;", LAUGHS), UNSAFE),
    "an external entity in XML": (f"<?xml version='1.0'?>{OUTSIDE}<d/>".encode, UNSAFE),
    "a promise of many pages": (lambda: pdf_of_pages(100_000), LIMIT),
    "a page tree that bites its tail": (
        lambda: pdf(CATALOGUE, b"<</Type/Pages/Count 5/Kids[2 0 R 2 0 R]>>"),
        CORRUPT,
    ),
    "a page that never ends": (
        lambda: pdf_with_content(b"BT /F 1 Tf " + b"(aaaaaaaaaaaaaaaaaa) Tj " * 2_000_000),
        LIMIT,
    ),
    "deep HTML": (lambda: b"<html><body>" + b"<div>" * 100_000 + b"hello", LIMIT),
    "deep JSON": (lambda: b"[" * 100_000, LIMIT),
    "text without end": (lambda: b"word " * 110_000, LIMIT),
    "half a Word file": (lambda: word("Hello")[:-30], CORRUPT),
    "half a PDF": (lambda: pdf_with_content(b"BT (Hi) Tj ET")[:120], CORRUPT),
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_an_attack_is_refused_for_what_it_is(parser: SubprocessParser, attack: str) -> None:
    make, reason = ATTACKS[attack]
    assert await verdict(parser, make()) is reason
    survivor = await parser.parse(b"An honest document.", "honest.txt")
    assert survivor.text == "An honest document."


async def test_a_large_file_is_refused_before_it_is_read() -> None:
    parser = SubprocessParser(Limits(file_bytes=10))
    assert await verdict(parser, b"eleven bytes") is LIMIT


async def test_a_file_that_takes_too_long_is_refused() -> None:
    """Many times the limit on any machine; drawing it needs neither memory nor text."""
    parser = SubprocessParser(Limits(seconds=1), workers=1)
    endless = pdf_with_content(b"q Q " * 20_000_000)
    with pytest.raises(Rejected, match=r"computing time|took over 1 s") as caught:
        await parser.parse(endless, "file")
    assert caught.value.reason is LIMIT
    await parser.close()


async def test_a_worker_killed_from_outside_costs_no_document(parser: SubprocessParser) -> None:
    await parser.parse(b"First.", "a.txt")
    (member,) = parser._pool._workers
    member._process.send_signal(signal.SIGKILL)
    assert (await parser.parse(b"Second.", "b.txt")).text == "Second."


async def test_a_cancelled_parse_leaves_the_next_one_right(parser: SubprocessParser) -> None:
    await parser.parse(b"First.", "a.txt")
    task = asyncio.create_task(parser.parse(b"word " * 90_000, "long.txt"))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await parser.parse(b"Second.", "b.txt")).text == "Second."


async def test_a_worker_has_no_network_and_starts_no_program() -> None:
    code = """
        import socket, subprocess
        from gyre_ingestion.adapters.processes import sandbox
        print(sandbox.confine(2_000_000_000))
        for forbidden in (socket.socket, lambda: subprocess.run(["true"])):
            try:
                forbidden()
                print("allowed")
            except PermissionError:
                print("refused")
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        textwrap.dedent(code),
        stdout=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    output, _ = await process.communicate()
    if output.startswith(b"False"):
        pytest.skip("this kernel has no seccomp filters")
    assert output.split() == [b"True", b"refused", b"refused"]
