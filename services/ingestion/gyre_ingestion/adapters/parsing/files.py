"""Turns the bytes of any file into a parsed document."""

import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import PurePath

from lxml.etree import LxmlError  # type: ignore[import-untyped]

from gyre_ingestion.adapters.parsing import archives, charset, chat, detect, mail, plain
from gyre_ingestion.adapters.parsing.html import read_html
from gyre_ingestion.adapters.parsing.kreuzberg_reader import read_with_kreuzberg
from gyre_ingestion.adapters.parsing.language import LinguaLanguageDetector
from gyre_ingestion.adapters.parsing.markdown import read_markdown
from gyre_ingestion.adapters.parsing.pdf import read_pdf
from gyre_ingestion.adapters.parsing.reading import Reading
from gyre_ingestion.adapters.parsing.slides import read_slides
from gyre_ingestion.adapters.parsing.tabular import read_csv
from gyre_ingestion.adapters.parsing.xml import read_xml
from gyre_ingestion.domain.limits import Limits
from gyre_ingestion.domain.parsed import ParsedDocument, Rejected, RejectionReason

_TEXT_READERS: dict[str, Callable[[str], Reading]] = {
    detect.HTML: read_html,
    detect.XML: read_xml,
    detect.MARKDOWN: read_markdown,
    detect.CSV: read_csv,
    detect.TSV: read_csv,
    detect.VTT: plain.read_subtitles,
    detect.JSON: chat.read_json,
    detect.JSONL: chat.read_jsonl,
    detect.NOTEBOOK: chat.read_notebook,
    detect.PLAIN: plain.read_plain,
    "text/asciidoc": plain.read_asciidoc,
}
_JSON_TYPES = {detect.JSON, detect.JSONL, detect.NOTEBOOK}
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, LxmlError, EOFError, KeyError, ValueError,
    AttributeError, IndexError, TypeError, NotImplementedError, LookupError, OSError,
)  # fmt: skip


class FileReader:
    """Reads any file; keeps what is dear to load between files. Not for two threads at once."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._languages = LinguaLanguageDetector()

    def read(self, content: bytes, name: str) -> ParsedDocument:
        """The document; `Rejected` says why there is none."""
        media_type, reading = self._read(content, name, depth=0)
        blocks = tuple(reading.outline.blocks)
        if not blocks:
            raise Rejected(
                RejectionReason.NO_TEXT,
                "There is no text in the file: it is empty, or a scan without recognised text.",
            )
        if sum(len(block.text) for block in blocks) > self._limits.text_length:
            raise _too_much(f"The text is longer than {self._limits.text_length:,} characters.")
        return ParsedDocument(
            blocks=blocks,
            media_type=media_type,
            title=reading.title[:500] or PurePath(name.replace("\\", "/")).name,
            language=self._languages.detect(blocks),
            page_count=reading.page_count,
            metadata=reading.metadata,
        )

    def _read(self, content: bytes, name: str, depth: int) -> tuple[str, Reading]:
        if not content.strip():
            raise Rejected(RejectionReason.NO_TEXT, "The file is empty.")
        try:
            binary = detect.binary_type(content)
            if binary is None:
                return self._text(content, name, depth)
            return binary, self._binary(content, binary, depth)
        except _DAMAGE as problem:
            raise Rejected(
                RejectionReason.CORRUPT, "The file is damaged or is not what its format promises."
            ) from problem

    def _binary(self, content: bytes, media_type: str, depth: int) -> Reading:
        if content.startswith(b"PK"):
            archives.check_archive(content, self._limits)
        if media_type == detect.PDF:
            return read_pdf(content, self._limits)
        if media_type == detect.PPTX:
            return read_slides(content)
        if media_type == detect.ZIP:
            return self._nested(Reading(), archives.members(content), depth)
        return read_with_kreuzberg(content, media_type)

    def _text(self, content: bytes, name: str, depth: int) -> tuple[str, Reading]:
        text = charset.decode(content, charset.declared_charset(content))
        if text is None:
            raise Rejected(RejectionReason.UNSUPPORTED_FORMAT, "The file's format is not known.")
        media_type = detect.text_type(text, name)
        if media_type == detect.EML:
            source = text.encode() if b"\0" in content else content
            reading, attachments = mail.read_mail(source)
            return media_type, self._nested(reading, attachments, depth)
        if media_type in _JSON_TYPES and not name.lower().endswith(("json", "jsonl", "ipynb")):
            return _json_or_plain(text, media_type)
        if media_type in _TEXT_READERS:
            return media_type, _TEXT_READERS[media_type](text)
        return media_type, read_with_kreuzberg(text.encode(), media_type)

    def _nested(self, reading: Reading, files: Iterable[tuple[str, bytes]], depth: int) -> Reading:
        """The files inside, each under its name; those that cannot be read are named as skipped."""
        skipped = []
        for name, content in files:
            if depth >= self._limits.archive_depth:
                raise _too_much(f"Archives lie deeper than {self._limits.archive_depth} levels.")
            try:
                _, inner = self._read(content, name, depth + 1)
            except Rejected as verdict:
                if verdict.reason in {RejectionReason.LIMIT_EXCEEDED, RejectionReason.UNSAFE}:
                    raise
                skipped.append(name)
            else:
                reading.outline.include(name, inner.outline.blocks)
        if skipped:
            reading.metadata["skipped_files"] = ", ".join(skipped)[:500]
        return reading


def _json_or_plain(text: str, media_type: str) -> tuple[str, Reading]:
    """Text that only starts like JSON is text, unless its name says otherwise."""
    try:
        return media_type, _TEXT_READERS[media_type](text)
    except Rejected:
        return detect.PLAIN, plain.read_plain(text)


def _too_much(detail: str) -> Rejected:
    return Rejected(RejectionReason.LIMIT_EXCEEDED, detail)
