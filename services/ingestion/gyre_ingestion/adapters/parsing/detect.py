"""Finds out what a file is from its bytes; its name only decides between kinds of plain text."""

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import PurePath

from gyre_ingestion.domain.parsed import Rejected, RejectionReason

PDF = "application/pdf"
ZIP = "application/zip"
RTF = "application/rtf"
MSG = "application/vnd.ms-outlook"
DOC = "application/msword"
XLS = "application/vnd.ms-excel"
PPT = "application/vnd.ms-powerpoint"
_OPEN_XML = "application/vnd.openxmlformats-officedocument."
DOCX = _OPEN_XML + "wordprocessingml.document"
PPTX = _OPEN_XML + "presentationml.presentation"
XLSX = _OPEN_XML + "spreadsheetml.sheet"
ODS = "application/vnd.oasis.opendocument.spreadsheet"
EPUB = "application/epub+zip"
HTML = "text/html"
XML = "application/xml"
EML = "message/rfc822"
MARKDOWN = "text/markdown"
CSV = "text/csv"
TSV = "text/tab-separated-values"
VTT = "text/vtt"
JSON = "application/json"
JSONL = "application/jsonl"
NOTEBOOK = "application/x-ipynb+json"
PLAIN = "text/plain"

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OLE_STREAMS = {
    "__properties_version1.0": MSG,
    "WordDocument": DOC,
    "Workbook": XLS,
    "Book": XLS,
    "PowerPoint Document": PPT,
}
# Office with a password; messages encrypted by PGP, S/MIME or rights management.
_ENCRYPTED = ("EncryptedPackage", "multipart/encrypted", "IPM.Note.SMIME\0", "message.rpmsg")
_FOREIGN = {
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"GIF8": "an image",
    b"II*\0": "an image",
    b"MM\0*": "an image",
    b"RIFF": "an image, sound or film",
    b"ID3": "sound",
    b"OggS": "sound or film",
    b"fLaC": "sound",
    b"\x7fELF": "a program",
    b"MZ": "a program",
    b"\x1f\x8b": "a gzip archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a rar archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"SQLite format 3": "a database",
}
_BY_SUFFIX = {
    ".md": MARKDOWN,
    ".markdown": MARKDOWN,
    ".csv": CSV,
    ".tsv": TSV,
    ".tab": TSV,
    ".rst": "text/x-rst",
    ".org": "text/x-org",
    ".asciidoc": "text/asciidoc",
    ".adoc": "text/asciidoc",
    ".log": PLAIN,
}
_MAIL_HEADER = re.compile(r"\A(?:[!-9;-~]+:.*\n(?:[ \t]+.*\n)*){2,}", re.IGNORECASE)
_MAIL_FIELD = re.compile(
    r"^(?:from|to|subject|date|message-id|mime-version|content-type|received|return-path|delivered-to):",
    re.IGNORECASE | re.MULTILINE,
)
_HTML_START = re.compile(
    r"\A\s*(?:<\?xml[^>]*>\s*)?(?:<!--(?:(?!-->).)*-->\s*)*+<(?:!doctype\s+html|html|head|body)\b",
    re.IGNORECASE | re.DOTALL,
)
_XML_START = re.compile(r"\s*<(?:\?xml|rss|feed|rdf:RDF|[\w.-]+(?::[\w.-]+)?\s+xmlns[:=])")
_HTML_TAG = re.compile(r"</(?:p|div|table|ul|ol|h[1-6]|span|body|a)>", re.IGNORECASE)
_MARKDOWN_SIGNS = re.compile(
    r"^(?:#{1,6} \S|```|\|.+\|\s*$|[-*+] \S|>\s\S)|\]\(\S+\)|\*\*\S", re.MULTILINE
)
_FRONT_MATTER = re.compile(r"\A---\r?\n.*?^---\s*$", re.DOTALL | re.MULTILINE)


def binary_type(content: bytes) -> str | None:
    """Media type of a binary format, None for text; `Rejected` for what is no document."""
    if b"%PDF-" in content[:1024]:
        return PDF
    if content.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zipped_type(content)
    if content.startswith(_OLE):
        return _ole_type(content)
    if content.startswith(b"{\\rtf"):
        return RTF
    for magic, what in _FOREIGN.items():
        if content.startswith(magic):
            raise Rejected(RejectionReason.UNSUPPORTED_FORMAT, f"The file is {what}, no document.")
    return None


def _zipped_type(content: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = set(archive.namelist())
            declared = archive.read("mimetype")[:100].decode() if "mimetype" in names else ""
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, OSError) as problem:
        raise Rejected(
            RejectionReason.CORRUPT, "The file is damaged: its archive cannot be opened."
        ) from problem
    if "[Content_Types].xml" in names:
        folders = {"word": DOCX, "ppt": PPTX, "xl": XLSX}
        tops = {name.split("/")[0] for name in names}
        return next((kind for folder, kind in folders.items() if folder in tops), ZIP)
    return (
        declared.strip() if declared.startswith(("application/epub", "application/vnd.")) else ZIP
    )


def _ole_type(content: bytes) -> str:
    def holds(name: str) -> bool:
        return name.encode("utf-16-le") in content

    if any(map(holds, _ENCRYPTED)):
        raise Rejected(
            RejectionReason.ENCRYPTED,
            "The file is encrypted: save it without a password and retry.",
        )
    found = next((kind for stream, kind in _OLE_STREAMS.items() if holds(stream)), None)
    if found is None:
        raise Rejected(RejectionReason.UNSUPPORTED_FORMAT, "This Office format is not known.")
    return found


def text_type(text: str, name: str) -> str:
    """Media type of text: marks in the content first, then the name, then the looks."""
    head = text[:20_000]
    for kind, is_kind in _MARKED:
        if is_kind(head):
            return kind
    suffix = PurePath(name.lower()).suffix
    if suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix]
    if suffix in {".html", ".htm"} or len(_HTML_TAG.findall(head)) > 2:
        return HTML
    return MARKDOWN if len(_MARKDOWN_SIGNS.findall(head)) > 2 else PLAIN


def _is_mail(head: str) -> bool:
    found = _MAIL_HEADER.match(head.lstrip("\n").replace("\r\n", "\n"))
    return found is not None and len(_MAIL_FIELD.findall(found[0])) > 1


def _is_html(head: str) -> bool:
    return _HTML_START.match(head) is not None


def _is_json(head: str) -> bool:
    return re.match(r'\s*(?:\{\s*(?:"|\})|\[\s*[\[{"\d\]])', head) is not None


def _is_jsonl(head: str) -> bool:
    lines = head.strip().split("\n")
    return lines[0].startswith("{") and lines[0].rstrip().endswith("}") and len(lines) > 1


_MARKED: tuple[tuple[str, Callable[[str], bool]], ...] = (
    (VTT, lambda head: head.startswith("WEBVTT")),
    (MARKDOWN, lambda head: _FRONT_MATTER.match(head) is not None),
    (HTML, _is_html),
    (XML, lambda head: _XML_START.match(head) is not None),
    (EML, _is_mail),
    (JSONL, _is_jsonl),
    (NOTEBOOK, lambda head: _is_json(head) and '"cell_type"' in head),
    (JSON, _is_json),
)
