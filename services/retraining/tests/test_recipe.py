# ruff: noqa: E402
import json
import random
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is installed in the model environment only")

from gyre_retraining.recipes.reader import path
from gyre_retraining.recipes.reader.batches import collate
from gyre_retraining.recipes.reader.config import Recipe, Tokens
from gyre_retraining.recipes.reader.evaluation import Judge, score_all
from gyre_retraining.recipes.reader.items import Item
from gyre_retraining.recipes.reader.layout import Layout
from gyre_retraining.recipes.reader.prepare import prepare
from gyre_retraining.recipes.reader.run import Places, started, trained
from gyre_retraining.recipes.reader.sampler import Sampler
from gyre_retraining.recipes.reader.scoring import verdicts

TINY = Recipe.model_validate(
    {
        "name": "tiny",
        "corpus": {
            "wikipedia": 12,
            "government": 12,
            "technical": 12,
            "held_out": 3,
            "weighed": 50,
        },
        "tokens": {"vocabulary": 420, "sentences": 200},
        "shape": {"width": 192, "heads": 3, "layers": 4, "inner": 32},
        "embedding_start": False,
        "phases": [{"share": 1, "longest": 192, "most_sentences": 4, "real": 0.5, "ranked": 0.5}],
        "run": {"minutes": 0.02, "batch_tokens": 768, "threads": 1},
    }
)


def _longer(recipe: Recipe, minutes: float) -> Recipe:
    return recipe.model_copy(update={"run": recipe.run.model_copy(update={"minutes": minutes})})


def test_a_run_goes_from_data_to_scores_and_on_from_its_checkpoint(
    tiny_data: Path, tmp_path: Path
) -> None:
    places = Places(tiny_data, tmp_path, None)
    first = trained(TINY, places)
    assert first.tally.steps > 0
    layout = Layout(first.material.tokenizer)
    judge = Judge(first.model, layout, first.material.rarity)
    scores = score_all(judge, first.material, tiny_data, 4)
    assert {score.name for score in scores} >= {"synthetic", "squad2_half"}
    assert all(0 <= score.model <= 1 for score in scores)
    second = trained(_longer(TINY, first.tally.seconds / 60 + 0.02), places)
    assert second.tally.steps > first.tally.steps
    assert second.tally.seconds > first.tally.seconds


def test_the_embedding_start_without_an_encoder_says_what_to_give(
    tiny_data: Path, tmp_path: Path
) -> None:
    recipe = TINY.model_copy(update={"embedding_start": True})
    with pytest.raises(ValueError, match="--encoder"):
        trained(recipe, Places(tiny_data, tmp_path, None))


def test_drawn_items_fit_their_phase_and_refusals_lost_their_answer(
    tiny_data: Path, tmp_path: Path
) -> None:
    material = prepare(TINY, tiny_data, tmp_path)
    layout = Layout(material.tokenizer)
    sampler = Sampler(material.shelf.train, material.items, material.rarity, layout)
    chance, [phase] = random.Random(0), TINY.phases
    drawn = [sampler.draw(phase, chance) for _ in range(60)]
    assert all(2 <= len(item.sentences) <= 4 for item in drawn)
    assert all(len(layout.example(item).ids) <= phase.longest for item in drawn)
    assert {bool(item.answers) for item in drawn} == {True, False}


def test_a_batch_points_at_the_answer_token_and_the_sentence_ends(
    tiny_data: Path, tmp_path: Path
) -> None:
    tokenizer = prepare(TINY, tiny_data, tmp_path).tokenizer
    layout = Layout(tokenizer)
    item = Item("x", "Who?", ("An otter.", "A heron."), frozenset({1}))
    batch = collate([layout.example(item), layout.example(item)], layout)
    flat = batch.ids.flatten()
    assert flat[batch.first].tolist() == [tokenizer.convert_tokens_to_ids("<|answer|>")] * 2
    assert flat[batch.ends].tolist() == layout.marks[:2] * 2
    assert batch.targets.nonzero().tolist() == [[0, 1], [1, 1]]
    allowed = [layout.choices[i] for i in batch.allowed[0].nonzero().flatten()]
    assert allowed == [*layout.marks[:2], layout.refusal]


def test_the_whole_path_is_scored_beside_the_lists_that_were_shown(
    tiny_data: Path, tmp_path: Path
) -> None:
    material = prepare(TINY, tiny_data, tmp_path)
    shown = {"set": "zoo", "question": "Who?", "sentences": ["An otter.", "A heron."]}
    asked = [
        shown | {"answers": [0], "overlap": True, "bm25": False},
        shown | {"answers": [], "overlap": False, "bm25": False},
    ]
    lists = tmp_path / "lists.jsonl"
    lists.write_text("".join(json.dumps(row) + "\n" for row in asked))
    model = started(TINY, Places(tiny_data, tmp_path, None), material)
    score = path.score_lists(model, Layout(material.tokenizer), lists)["zoo"]
    assert (score.count, score.first, score.listed) == (2, 0.5, 0.5)
    assert (score.overlap, score.bm25) == (0.5, 0)
    assert score.reader <= score.listed


def test_before_its_first_step_the_model_cites_the_sentence_that_shares_rare_words(
    tiny_data: Path, tmp_path: Path
) -> None:
    torch.manual_seed(3)
    recipe = TINY.model_copy(update={"tokens": Tokens(vocabulary=700, sentences=200)})
    material = prepare(recipe, tiny_data, tmp_path)
    model = started(recipe, Places(tiny_data, tmp_path, None), material)
    layout, chance = Layout(material.tokenizer), random.Random(5)
    listed = [_only_one_shares(chance) for _ in range(40)]
    told = verdicts(model, layout, listed)
    right = sum(v.cited() in item.answers for v, item in zip(told, listed, strict=True))
    assert right > 24, "one in five would be chance"


def _only_one_shares(chance: random.Random) -> Item:
    """Each sentence with an animal, a place and a food of its own; the question names one's."""
    animals = ["otter", "badger", "heron", "lynx", "marten"]
    places = ["river", "forest", "quarry", "moor", "canal"]
    foods = ["berries", "beetles", "herring", "acorns", "clover"]
    mixed = (chance.sample(words, 5) for words in (animals, places, foods))
    told = list(zip(*mixed, strict=True))
    wanted = chance.randrange(5)
    animal, place, _ = told[wanted]
    sentences = tuple(f"The {a} near the {p} eats {f}." for a, p, f in told)
    question = f"What does the {animal} eat near the {place}?"
    return Item("x", question, sentences, frozenset({wanted}))
