"""The recipe from data to checkpoint, step by step; each step picks up what is already there."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch.optim.swa_utils import AveragedModel
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from gyre_retraining.recipes.reader.config import Recipe
from gyre_retraining.recipes.reader.embeddings import encoder_directions, token_rarity
from gyre_retraining.recipes.reader.layout import Layout
from gyre_retraining.recipes.reader.prepare import Material, prepare
from gyre_retraining.recipes.reader.start import PLANES, Signs, build_model, set_embeddings
from gyre_retraining.recipes.reader.tokenizer import ANSWER, FITS, MARKS, MISSES, QUESTION, SOURCES
from gyre_retraining.recipes.reader.training import CHECKPOINT, Tally, Trainer


@dataclass(frozen=True)
class Places:
    """`data` is the data folder, `work` keeps the run, `encoder` is the all-MiniLM-L6-v2 folder."""

    data: Path
    work: Path
    encoder: Path | None


def trained(recipe: Recipe, places: Places) -> Trainer:
    """Prepare, start or resume, and train to the end of the recipe's minutes."""
    trainer = Trainer(*ready(recipe, places))
    trainer.train()
    return trainer


def ready(recipe: Recipe, places: Places) -> tuple[Recipe, Material, LlamaForCausalLM, Path]:
    """What a trainer needs; the costly start is skipped where a checkpoint will replace it."""
    torch.set_num_threads(1)  # each batch of a step has a thread of its own
    torch.manual_seed(recipe.seed)
    material = prepare(recipe, places.data, places.work)
    resumed = (places.work / CHECKPOINT).exists()
    model = (
        build_model(recipe.shape, material.tokenizer)
        if resumed
        else started(recipe, places, material)
    )
    return recipe, material, model, places.work


def restored(
    recipe: Recipe, places: Places
) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast, Tally]:
    """The averaged model of the last checkpoint, in the middle of a run or at its end."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(places.work / "tokenizer")
    averaged = AveragedModel(build_model(recipe.shape, tokenizer))
    state = torch.load(places.work / CHECKPOINT, weights_only=True)
    averaged.load_state_dict(state["averaged"])
    _lean(averaged.module, tokenizer, recipe.leaning)
    return averaged.module, tokenizer, Tally(**state["tally"])


def _lean(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, much: float) -> None:
    answer, first = tokenizer.convert_tokens_to_ids([ANSWER, MARKS[0]])
    weight = model.get_input_embeddings().weight.data
    towards = weight[first, PLANES:]
    weight[answer, PLANES:] += much * towards / towards.norm()


def started(recipe: Recipe, places: Places, material: Material) -> LlamaForCausalLM:
    """The model before its first step."""
    model = build_model(recipe.shape, material.tokenizer)
    rarity = token_rarity(material.tokenizer, material.rarity)
    set_embeddings(model, _directions(recipe, places, material), rarity, _signs(material))
    return model


def _signs(material: Material) -> Signs:
    named = material.tokenizer.convert_tokens_to_ids
    question, sources, fits, misses, answer = named([QUESTION, SOURCES, FITS, MISSES, ANSWER])
    refusal, marks = Layout(material.tokenizer).refusal, named(list(MARKS))
    return Signs(question, sources, fits, misses, answer, refusal, marks)


def _directions(recipe: Recipe, places: Places, material: Material) -> torch.Tensor:
    width, kept = recipe.shape.width - PLANES, places.work / "directions.pt"
    if not recipe.embedding_start:
        return torch.randn(len(material.tokenizer), width)
    if not kept.exists():
        torch.save(encoder_directions(material.tokenizer, _encoder(places), width), kept)
    return torch.load(kept, weights_only=True)


def _encoder(places: Places) -> Path:
    if places.encoder is None:
        raise ValueError(
            "the recipe starts embeddings from all-MiniLM-L6-v2: give its folder with --encoder,"
            " or set embedding_start: false"
        )
    return places.encoder
