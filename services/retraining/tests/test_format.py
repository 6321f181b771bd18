from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is installed in the model environment only")

from gyre_retraining.recipes.reader.items import REFUSAL, Item
from gyre_retraining.recipes.reader.layout import Layout
from gyre_retraining.recipes.reader.prompt import guide, user_message
from gyre_retraining.recipes.reader.tokenizer import train_tokenizer
from transformers import PreTrainedTokenizerFast

SENTENCES = ("Otters eat fish.", "Herons  wait\nin the shallows.")
TOKENIZER = train_tokenizer([*SENTENCES, "What do otters eat?", REFUSAL], 420)


def _rendered(messages: list[dict[str, str]]) -> str:
    text = TOKENIZER.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert isinstance(text, str)
    return text


def test_the_chat_template_renders_the_documented_format() -> None:
    asked = user_message("What do otters eat?", SENTENCES)
    assert asked == (
        "Sentences:\n[1] Otters eat fish.\n[2] Herons wait in the shallows.\n\n"
        "Question: What do otters eat?"
    )
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": asked}]
    assert _rendered(messages) == (
        "<|begin|><|question|> What do otters eat?<|sources|>"
        "[1] Otters eat fish.[1][2] Herons wait in the shallows.[2]<|answer|>"
    )


def test_the_rendered_prompt_is_what_training_lays_out() -> None:
    item = Item("x", "What do otters eat?", ("Otters eat fish.", "Herons wait."), frozenset({0}))
    text = _rendered([{"role": "user", "content": user_message(item.question, item.sentences)}])
    ids = TOKENIZER.encode(text, add_special_tokens=False)
    assert ids == Layout(TOKENIZER).example(item).ids


def test_a_message_of_another_form_becomes_the_question() -> None:
    assert _rendered([{"role": "user", "content": "Hello"}]) == (
        "<|begin|><|question|> Hello<|sources|><|answer|>"
    )


@pytest.mark.parametrize("text", ["[2] Grüße, 世界 🦦.", "a  b\n\tc", REFUSAL])
def test_any_text_survives_the_tokenizer(text: str, tmp_path: Path) -> None:
    TOKENIZER.save_pretrained(tmp_path)
    again = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    ids = again.encode(text, add_special_tokens=False)
    assert again.decode(ids, skip_special_tokens=True) == text


def test_each_guided_answer_is_decided_by_its_first_token() -> None:
    first = [TOKENIZER.encode(answer, add_special_tokens=False)[0] for answer in guide(SENTENCES)]
    assert len(set(first)) == len(first)
