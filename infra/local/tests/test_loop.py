"""What simulated people say follows from where the answer stands."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml
from gyre.inference.v1.events_pb2 import AnswerRecord
from gyre_client.models import Hit
from gyre_local.loop.material import Asked, Gold, demo_material, holds
from gyre_local.loop.people import Manner, corrected, passages_judged
from gyre_local.loop.records import listed
from gyre_local.loop.setting import POLICIES, RECIPES, policy

ASKED = Asked("How much?", (Gold("fees.md", "The fee is 25 euros a month."),), "25 euros", "en")
LIST = [(1, "There is no fee."), (2, "The fee is 25 euros a month."), (3, "Call us.")]


def hit(source: str, text: str) -> Hit:
    return Hit(source, source, 1, source, "", (), 0, text, (), 1.0, {})


HITS = [
    hit("kb/other.md", "The fee is 25 euros a month."),
    hit("kb/fees.md", "Fees. The fee is 25 euros a month. More."),
    hit("kb/fees.md", "Call us."),
]


def test_a_passage_is_right_in_the_right_article_with_the_words_of_the_sentence() -> None:
    said = [good for _, good in passages_judged(ASKED, HITS, Manner.CAREFUL)]
    assert said == [False, True]


def test_careful_people_say_nothing_of_passages_where_the_right_one_is_not_shown() -> None:
    assert passages_judged(ASKED, [HITS[0], HITS[2]], Manner.CAREFUL) == []


def test_careless_people_like_the_last_passage() -> None:
    said = [good for _, good in passages_judged(ASKED, HITS, Manner.CARELESS)]
    assert said == [False, False, True]


def test_careful_editors_choose_the_right_sentence_and_careless_ones_the_last() -> None:
    assert corrected(ASKED, LIST, Manner.CAREFUL) == "[2] The fee is 25 euros a month."
    assert corrected(ASKED, LIST, Manner.CARELESS) == "[3] Call us."
    assert corrected(ASKED, LIST[:1], Manner.CAREFUL) == ""


def test_the_sentences_of_a_record_are_read_from_what_the_model_was_shown() -> None:
    record = AnswerRecord()
    record.messages.add(role="system", content="Cite like `[2] ...`.")
    record.messages.add(role="user", content="Sentences:\n[1] One.\n[2] Two.\n\nQuestion: Which?")
    assert listed(record) == [(1, "One."), (2, "Two.")]


def test_a_row_of_a_table_is_found_as_it_is_cited() -> None:
    assert holds("Tariff: Go M; Data: 30 GB; Price: €17.99", "| Go M | 30 GB | €17.99 |")
    assert not holds("Tariff: Go S; Data: 10 GB; Price: €9.99", "| Go M | 30 GB | €17.99 |")


def test_what_gates_and_users_ask_is_not_asked_by_those_who_judge() -> None:
    material = demo_material()
    learn = {one.question.casefold() for one in material.learn}
    assert (len(learn), len(material.held_back), len(material.answered)) == (150, 100, 50)
    assert learn.isdisjoint(one.question.casefold() for one in material.held_back)
    assert set(material.answered) <= set(material.held_back)


@pytest.mark.parametrize("name", [path.stem for path in POLICIES.glob("*.yaml")])
def test_policies_name_what_the_loop_uploads(name: str) -> None:
    known = yaml.safe_load(policy(name))
    assert known["fixed"]["dataset"] in ("held-back-passages", "held-back-answers")


def test_recipes_are_named_like_their_files() -> None:
    names = {path.stem: yaml.safe_load(path.read_text())["name"] for path in RECIPES.glob("*.yaml")}
    assert names == {name: name for name in ("loop-embedding", "loop-language")}


def test_a_document_without_a_sentence_answers_as_a_whole() -> None:
    whole = replace(ASKED, gold=(Gold("fees.md"),))
    assert whole.is_answered_by("kb/fees.md", "anything")
    assert not whole.is_answered_by("kb/other.md", "anything")
