"""The model with a constructed start: an overlap picker in weights before the first step.

A model this small would spend a short run on finding "is this word also in the question?". So:
layer 0 tells every token on which side (question or sources) it stands and whether a mark stood
before it; layer 1 matches equal or near embeddings across the sides and hands every token the mark
of its sentence; layer 2 lets a closing mark sum the matches of its sentence, rare words first; the
last layer lets the answer look at the closing marks that fit best and copy their mark. Marks take
part in the sum, so that a long sentence wins by its matches and not by its length. Everything stays
trainable, at a small rate: a large one undoes it in a hundred steps.
"""

import math
from dataclasses import dataclass

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from gyre_retraining.recipes.reader.config import Shape

_HEAD = 64
_LAST = 2
_CONSTANT, _RARITY, _REGION, _SIDE, _MATCHED, _MARK, _AFTER_MARK, _OPENS, _ASKS = range(9)
PLANES = 9
# Rotary pairs i (dimensions i and i + 32 of a head). The slow ones keep their angle over a prompt.
_FAST = 10
_NEAR = {5: 2.2, 7: 2.6, 8: 2.6, 9: 3.2, 10: 3.2}
_SLOW = [*range(14, 31), *range(46, 63)]
_MARKS_AT = slice(18, 30)
_SLOWEST = 31
_PRIOR = (0.68, 0.54, 0.48, 0.43, 0.40, 0.37, 0.34, 0.32)
_REFUSAL_PRIOR = 0.40
# Found by measuring each stage on shuffled development items, before any training.
_MATCH, _ACROSS, _NO_MARK = 2.0, 2.5, -3.0
_RARE, _MOST_RARE, _FLOOR, _UNMATCHED = 1.6, 0.7, -4.0, 0.88
_GAIN, _SHARP = 0.6, 6.0


@dataclass(frozen=True)
class Signs:
    """Token ids with a part in the constructed start."""

    question: int
    sources: int
    fits: int
    misses: int
    answer: int
    refusal: int
    marks: list[int]


def build_model(shape: Shape, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A LlamaForCausalLM with the constructed start; seed torch before."""
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=shape.width,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.heads,
            intermediate_size=shape.inner,
            max_position_embeddings=shape.context,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            rms_norm_eps=1e-5,
            rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        )
    )
    with torch.no_grad():
        _start(model, shape)
    return model


def set_embeddings(
    model: LlamaForCausalLM, directions: torch.Tensor, rarity: torch.Tensor, signs: Signs
) -> None:
    """Give every token a direction [tokens, width - PLANES] and its rarity [tokens]. The first
    planes are reserved: a constant, the rarity, and flags of the tokens that open a side or a
    sentence."""
    weight = model.get_input_embeddings().weight
    with torch.no_grad():
        weight[:] = 0
        weight[:, _CONSTANT] = 0.18
        weight[:, _RARITY] = 0.1 * ((rarity - rarity.mean()) / (rarity.std() + 1e-6)).clamp(
            max=_MOST_RARE
        )
        weight[signs.question, _REGION], weight[signs.question, _OPENS] = 0.25, 0.3
        weight[signs.sources, _REGION], weight[signs.sources, _OPENS] = 0.5, -0.3
        weight[[*signs.marks, signs.sources], _MARK] = 0.4
        weight[signs.answer, _ASKS] = 0.4
        unit = _free_of_marks(directions, signs)
        # The answer token leans towards the first marks: lists come best first.
        likely = [*signs.marks[: len(_PRIOR)], signs.refusal]
        leaning = torch.tensor([*_PRIOR, _REFUSAL_PRIOR]) @ unit[likely]
        unit[signs.answer] = torch.nn.functional.normalize(leaning, dim=0)
        # Rows of one length: a norm in front of a layer then keeps flags alike on all tokens.
        weight[:, PLANES:] = unit * (1 - weight.square().sum(1, keepdim=True)).sqrt()
        fit = weight[signs.fits] - weight[signs.misses]
        marks = _span(weight[signs.marks])
        _carry_marks(model.model.layers[1].self_attn, marks)
        _sum_matches(model.model.layers[2].self_attn, marks, fit / fit.norm())
        _choose(model.model.layers[-1].self_attn, marks, fit / fit.norm())


def _free_of_marks(directions: torch.Tensor, signs: Signs) -> torch.Tensor:
    """Unit rows; only marks lie in the space of marks, so that a carried mark is not a word."""
    unit = torch.nn.functional.normalize(directions, dim=1)
    basis = torch.linalg.qr(unit[signs.marks].T)[0]
    others = torch.ones(len(unit), 1)
    others[signs.marks] = 0
    return torch.nn.functional.normalize(unit - others * (unit @ basis @ basis.T), dim=1)


def _span(rows: torch.Tensor) -> torch.Tensor:
    """[rows, width] orthonormal rows over the directions of the given embeddings."""
    own = rows.clone()
    own[:, :PLANES] = 0
    return torch.linalg.qr(own.T)[0].T


def _start(model: LlamaForCausalLM, shape: Shape) -> None:
    for depth, layer in enumerate(model.model.layers):
        _spread(layer, shape.layers)
        if depth == 0:
            _tell_side(layer.self_attn)
            _look_back_one(layer.self_attn, shape.rope_theta)
        if depth == 1:
            for head in (0, 1):
                _match_equal(layer.self_attn, head)


def _spread(layer: torch.nn.Module, layers: int) -> None:
    attention, inner = layer.self_attn, layer.mlp
    for part in (attention.q_proj, attention.k_proj, attention.v_proj):
        part.weight.normal_(0, 0.03)
    for part in (attention.o_proj, inner.down_proj):
        part.weight.normal_(0, 0.012 / math.sqrt(2 * layers))
        part.weight[:PLANES] = 0
    for part in (inner.up_proj, inner.gate_proj):
        part.weight.normal_(0, 0.04)


def _rows(head: int) -> slice:
    return slice(head * _HEAD, (head + 1) * _HEAD)


def _clear(attention: torch.nn.Module, head: int) -> tuple[torch.Tensor, ...]:
    """The head's query, key and value rows and its output columns, all zero."""
    rows = _rows(head)
    parts = [p.weight[rows] for p in (attention.q_proj, attention.k_proj, attention.v_proj)]
    found = (*parts, attention.o_proj.weight[:, rows])
    for part in found:
        part.zero_()
    return found


def _tell_side(attention: torch.nn.Module) -> None:
    query, key, value, out = _clear(attention, 0)
    query[_SLOWEST, _CONSTANT] = 2.0
    key[_SLOWEST, _REGION] = 3.0
    value[0, _OPENS] = 1.0
    out[_SIDE, 0] = 0.03


def _look_back_one(attention: torch.nn.Module, theta: float) -> None:
    query, key, value, out = _clear(attention, _LAST)
    strength = 9 / 2.9
    turn = theta ** (-torch.arange(_FAST) / 32.0)
    query[:_FAST, _CONSTANT] = strength
    key[:_FAST, _CONSTANT] = strength * turn.cos()
    key[32 : 32 + _FAST, _CONSTANT] = strength * turn.sin()
    value[0, _MARK] = 1.0
    out[_AFTER_MARK, 0] = 0.04


def _match_equal(attention: torch.nn.Module, head: int) -> None:
    """A word of the sources looks at its equal in the question, else at itself. The first
    directions carry most of the meaning; the two heads take every other one."""
    query, key, value, out = _clear(attention, head)
    axes = torch.arange(len(_SLOW)) * 2 + PLANES + head
    query[_SLOW, axes] = _MATCH
    key[_SLOW, axes] = _MATCH
    query[_SLOWEST, _CONSTANT], query[_SLOWEST, _MARK] = _ACROSS, _NO_MARK
    key[_SLOWEST, _SIDE] = _ACROSS
    value[0, _SIDE] = 1.0
    out[_MATCHED, 0] = 0.05


def _carry_marks(attention: torch.nn.Module, marks: torch.Tensor) -> None:
    """Every token looks back at the nearest opening mark, a mark after a mark, and keeps it."""
    query, key, value, out = _clear(attention, _LAST)
    for pair, strength in _NEAR.items():
        query[pair, _CONSTANT] = key[pair, _CONSTANT] = strength
    query[_SLOWEST, _CONSTANT] = 12.0
    key[_SLOWEST, _MARK], key[_SLOWEST, _AFTER_MARK] = 2.0, 4.0
    key[_SLOWEST, _REGION], key[_SLOWEST, _ASKS] = -4.0, 40.0
    value[: len(marks)] = marks
    out[:, : len(marks)] = marks.T * 0.05


def _sum_matches(attention: torch.nn.Module, marks: torch.Tensor, fit: torch.Tensor) -> None:
    """A closing mark looks at the tokens that carry it, by rarity, and at itself."""
    query, key, value, out = _clear(attention, 0)
    query[_MARKS_AT][: len(marks)] = marks * 0.9
    key[_MARKS_AT][: len(marks)] = marks * 0.9
    query[_SLOWEST, _CONSTANT] = 2.0
    key[_SLOWEST, _RARITY] = _RARE
    key[_SLOWEST, _MARK] = _FLOOR
    value[0, _MATCHED], value[0, _CONSTANT] = 1.0, _UNMATCHED
    out[:, 0] = fit * _GAIN


def _choose(attention: torch.nn.Module, marks: torch.Tensor, fit: torch.Tensor) -> None:
    query, key, value, out = _clear(attention, _LAST)
    query[_SLOWEST, _CONSTANT] = 2.0
    key[_SLOWEST] = fit * _SHARP
    key[_SLOWEST, _MARK], key[_SLOWEST, _AFTER_MARK], key[_SLOWEST, _REGION] = 16.0, -20.0, -16.0
    key[_SLOWEST, _SIDE] = -10.0
    value[: len(marks)] = marks
    out[:, : len(marks)] = marks.T * 0.1
