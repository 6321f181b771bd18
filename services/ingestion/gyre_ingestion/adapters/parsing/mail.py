"""Reads e-mail with its attachments (standard library)."""

import email
from collections.abc import Iterator
from email.message import EmailMessage, Message
from email.policy import default

from gyre_ingestion.adapters.parsing.charset import decode
from gyre_ingestion.adapters.parsing.html import read_html
from gyre_ingestion.adapters.parsing.plain import read_plain
from gyre_ingestion.adapters.parsing.reading import Reading
from gyre_ingestion.domain.normalise import clean_line
from gyre_ingestion.domain.parsed import Rejected, RejectionReason

_HEADERS = ("From", "To", "Cc", "Date")
_ENCRYPTED = {"application/pkcs7-mime", "application/x-pkcs7-mime", "multipart/encrypted"}
_SIGNED_ONLY = "signed-data"


def read_mail(content: bytes) -> tuple[Reading, list[tuple[str, bytes]]]:
    """The subject as heading, who and when as a row, the body; and the attachments."""
    message = email.message_from_bytes(content, policy=default)
    reading = Reading()
    reading.title = _header(message, "Subject")
    reading.outline.heading(1, reading.title)
    rows = ((name, _header(message, name)) for name in _HEADERS)
    reading.outline.row("; ".join(f"{name}: {value}" for name, value in rows if value))
    if _is_encrypted(message):
        raise Rejected(RejectionReason.ENCRYPTED, "The message is encrypted: store it decrypted.")
    _body(reading, message)
    return reading, list(_attachments(message))


def _is_encrypted(message: EmailMessage) -> bool:
    kind = message.get_content_type()
    return kind in _ENCRYPTED and message.get_param("smime-type") != _SIGNED_ONLY


def _body(reading: Reading, message: EmailMessage) -> None:
    plain, rich = message.get_body(("plain",)), message.get_body(("html",))
    found = read_plain(_text(plain)) if plain is not None else Reading()
    if not found.outline.blocks and rich is not None:
        found = read_html(_text(rich))
    reading.outline.append(found.outline)


def _text(part: Message) -> str:
    payload = part.get_payload(decode=True)
    content = payload if isinstance(payload, bytes) else b""
    return decode(content, part.get_content_charset() or "") or content.decode("latin-1")


def _attachments(message: EmailMessage) -> Iterator[tuple[str, bytes]]:
    for place, part in enumerate(message.iter_attachments() if message.is_multipart() else ()):
        name = part.get_filename() or f"attachment {place + 1}"
        payload = part.get_payload(decode=True)
        if part.get_content_type() == "message/rfc822":
            inner = part.get_content()
            payload = inner.as_bytes() if isinstance(inner, EmailMessage) else b""
        if isinstance(payload, bytes) and payload:
            yield name, payload


def _header(message: EmailMessage, name: str) -> str:
    """Malformed headers make the library raise many things; the raw text is good enough then."""
    try:
        return clean_line(str(message[name] or ""))
    except (ValueError, TypeError, AttributeError, IndexError, LookupError):
        raw = next((value for key, value in message.raw_items() if key == name), "")
        return clean_line(str(raw))
