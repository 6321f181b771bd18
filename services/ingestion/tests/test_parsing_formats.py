import io
import json
from email.message import EmailMessage

import pptx
import pytest
from gyre_ingestion.adapters.parsing.files import FileReader
from gyre_ingestion.domain.limits import Limits
from gyre_ingestion.domain.parsed import BlockKind, ParsedDocument, Rejected, RejectionReason
from gyre_ingestion.domain.tables import rows_as_text

PAGE = """<!doctype html><html><head><title>Roaming | Example Tel</title></head><body>
<nav><a href=/>Home</a><a href=/shop>Shop</a></nav>
<div id="onetrust-consent-sdk"><p>We use cookies to improve your visit.</p></div>
<main><h1>Roaming</h1><p>Roaming is <b>free</b> in the EU.</p>
<h2>Prices</h2><table><tr><th>Zone</th><th>Price</th></tr>
<tr><td>Switzerland</td><td>0.20 EUR</td></tr></table>
<ul><li>Open Settings.<ul><li>Tap Roaming.</li></ul></li></ul></main>
<footer>© Example Tel. Imprint.</footer><script>track()</script></body></html>"""


@pytest.fixture(scope="module")
def reader() -> FileReader:
    return FileReader(Limits())


def texts(document: ParsedDocument) -> list[str]:
    return [block.text for block in document.blocks]


def test_a_page_is_its_content_without_boilerplate(reader: FileReader) -> None:
    document = reader.read(PAGE.encode(), "a.bin")
    assert document.media_type == "text/html"
    assert document.title == "Roaming"
    assert texts(document) == [
        "Roaming",
        "Roaming is free in the EU.",
        "Prices",
        "Zone: Switzerland; Price: 0.20 EUR",
        "Open Settings.",
        "Tap Roaming.",
    ]
    assert document.blocks[3].heading_path == ("Roaming", "Prices")


def test_front_matter_is_title_and_metadata(reader: FileReader) -> None:
    source = "---\ntitle: Your bill\ntags: [billing, sepa]\n---\n# Bill\n\nPay *monthly*.\n"
    document = reader.read(source.encode(), "bill.md")
    assert document.title == "Your bill"
    assert document.metadata == {"tags": "billing, sepa"}
    assert texts(document) == ["Bill", "Pay monthly."]


def test_a_table_row_can_be_quoted(reader: FileReader) -> None:
    document = reader.read("Tarif;Preis\nS;5,00 €\nM;10,00 €\n".encode("cp1252"), "a.csv")
    assert texts(document) == ["Tarif: S; Preis: 5,00 €", "Tarif: M; Preis: 10,00 €"]
    assert {block.kind for block in document.blocks} == {BlockKind.TABLE_ROW}


def test_a_form_and_a_table_under_its_title_are_read_aloud() -> None:
    assert list(rows_as_text([["Name:", "Ann"], ["City:", "Bonn"]])) == ["Name: Ann", "City: Bonn"]
    rows = [["Prices", "", ""], ["Zone", "Call", "SMS"], ["EU", "free", ""]]
    assert list(rows_as_text(rows)) == ["Prices", "Zone: EU; Call: free"]


def test_a_mail_carries_its_attachments_as_sections(reader: FileReader) -> None:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = "Störung", "a@example.com", "b@example.com"
    message.set_content("Das Netz ist weg.")
    message.add_attachment(b"Line one.", maintype="text", subtype="plain", filename="log.txt")
    document = reader.read(message.as_bytes(), "")
    assert document.media_type == "message/rfc822"
    assert document.title == "Störung"
    assert texts(document)[1:] == [
        "From: a@example.com; To: b@example.com",
        "Das Netz ist weg.",
        "log.txt",
        "Line one.",
    ]
    assert document.blocks[-1].heading_path == ("log.txt",)


def test_a_chat_log_says_who_said_what(reader: FileReader) -> None:
    turns = [{"role": "user", "content": "Hi!"}, {"role": "agent", "content": "Hello."}]
    lines = [json.dumps({"conversation_id": f"c{n}", "messages": turns}) for n in (1, 2)]
    document = reader.read("\n".join(lines).encode(), "chat.jsonl")
    assert document.media_type == "application/jsonl"
    assert texts(document) == [
        "c1",
        "user: Hi!",
        "agent: Hello.",
        "c2",
        "user: Hi!",
        "agent: Hello.",
    ]


def test_slides_keep_their_numbers(reader: FileReader) -> None:
    deck = pptx.Presentation()
    for title in ("First", "Second"):
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = f"{title} point"
    buffer = io.BytesIO()
    deck.save(buffer)
    document = reader.read(buffer.getvalue(), "deck")
    assert [(b.text, b.page) for b in document.blocks] == [
        ("First", 1),
        ("First point", 1),
        ("Second", 2),
        ("Second point", 2),
    ]
    assert document.page_count == 2


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", RejectionReason.NO_TEXT),
        (b" \n\t ", RejectionReason.NO_TEXT),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), RejectionReason.UNSUPPORTED_FORMAT),
        (b"MZ" + bytes(100), RejectionReason.UNSUPPORTED_FORMAT),
        (b"%PDF-1.7 and nothing more", RejectionReason.CORRUPT),
    ],
)
def test_what_is_no_document_is_refused(
    reader: FileReader, content: bytes, reason: RejectionReason
) -> None:
    with pytest.raises(Rejected) as caught:
        reader.read(content, "file.pdf")
    assert caught.value.reason is reason
