"""Twins of parser, redactor and tokenizer for tests without models: plain text, mail, words."""

import re
from collections.abc import Sequence
from dataclasses import replace

from gyre_ingestion.domain.parsed import (
    Block,
    BlockKind,
    ParsedDocument,
    Rejected,
    RejectionReason,
)
from gyre_ingestion.domain.personal_data import PersonalDataPolicy, Redaction

_MAIL = re.compile(r"[\w.+-]+@[\w-]+\.\w+")
_MAGIC = {b"%PDF": RejectionReason.CORRUPT, b"PK\x03\x04": RejectionReason.UNSUPPORTED_FORMAT}


class PlainParser:
    """Paragraphs of UTF-8 text; refuses what is empty, not UTF-8, or begins as PDF or ZIP do."""

    async def parse(self, content: bytes, name: str) -> ParsedDocument:
        """Raises `Rejected` as the real parser does."""
        for magic, reason in _MAGIC.items():
            if content.startswith(magic):
                raise Rejected(reason, "This parser reads plain text only.")
        texts = [" ".join(text.split()) for text in _decoded(content).split("\n\n")]
        blocks = tuple(Block(BlockKind.PARAGRAPH, text) for text in texts if text)
        if not blocks:
            raise Rejected(RejectionReason.NO_TEXT, "There is no text in it.")
        return ParsedDocument(blocks, "text/plain", language="en")

    async def close(self) -> None:
        """There is nothing to end."""


class MailRedactor:
    """Knows mail addresses only; `off` changes nothing."""

    async def redact(
        self, document: ParsedDocument, policy: PersonalDataPolicy, tenant: str
    ) -> Redaction:
        """Replaces mail addresses by their type, with a pseudonym where the policy wants one."""
        if policy is PersonalDataPolicy.OFF:
            return Redaction(document, {})
        found = [_MAIL.subn(_placeholder(policy, tenant), block.text) for block in document.blocks]
        blocks = tuple(
            replace(block, text=text)
            for block, (text, _) in zip(document.blocks, found, strict=True)
        )
        count = sum(number for _, number in found)
        return Redaction(replace(document, blocks=blocks), {"EMAIL_ADDRESS": count})

    async def close(self) -> None:
        """There is nothing to end."""


class WordTokenizer:
    """A token is a word or a sign; two special tokens as BERT has them."""

    adds_up = True

    def count(self, text: str) -> int:
        """Tokens of `text`, special tokens included."""
        return len(self.spans(text)) + 2

    def spans(self, text: str) -> Sequence[tuple[int, int]]:
        """Where each word or sign stands."""
        return [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]


def _decoded(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise Rejected(RejectionReason.CORRUPT, "It is not UTF-8 text.") from None


def _placeholder(policy: PersonalDataPolicy, tenant: str) -> str:
    return "<EMAIL_ADDRESS>" if policy is PersonalDataPolicy.MASK else f"<EMAIL_ADDRESS_{tenant}>"
