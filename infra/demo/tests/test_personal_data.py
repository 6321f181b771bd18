"""The sample letter holds invented personal data that pass the checks a masker makes."""

import re

from gyre_demo.questions import KNOWLEDGE_BASE

from .extraction import text_of

LETTER = KNOWLEDGE_BASE / "billing" / "sample-letter-disputed-bill.docx"


def test_the_bank_account_has_a_valid_checksum() -> None:
    (account,) = re.findall(r"\bDE\d{2}(?: \d{4}){4} \d{2}\b", text_of(LETTER))
    digits = account.replace(" ", "")
    rearranged = digits[4:] + digits[:4]
    assert int("".join(str(int(character, 36)) for character in rearranged)) % 97 == 1


def test_the_card_number_has_a_valid_checksum() -> None:
    (card,) = re.findall(r"\b\d{4}(?: \d{4}){3}\b(?! \d)", text_of(LETTER).replace("DE89 ", ""))
    digits = [int(digit) for digit in reversed(card.replace(" ", ""))]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    assert (sum(digits[::2]) + sum(doubled)) % 10 == 0


def test_the_letter_names_an_address_two_mobile_numbers_and_a_birthday() -> None:
    text = text_of(LETTER)
    assert "johanna.muster@example.com" in text.replace("\\", "")
    assert len(set(re.findall(r"\+49 171 39200\d\d", text))) == 2
    assert "2 May 2014" in text
