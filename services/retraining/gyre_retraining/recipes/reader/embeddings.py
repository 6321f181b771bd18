"""Where token embeddings start: near in meaning, near in space, by the sentence encoder."""

from pathlib import Path

import torch
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerFast

from gyre_retraining.recipes.reader.lexical import Rarity
from gyre_retraining.recipes.reader.text import STOP_WORDS, stem

_BATCH = 256
_OWN_SHARE = 0.35


def encoder_directions(
    tokenizer: PreTrainedTokenizerFast, encoder: Path, width: int
) -> torch.Tensor:
    """[tokens, width] unit rows: the encoder's vectors of the token texts, centred, on their main
    axes, plus a random part of each token's own that keeps case and spacing apart."""
    texts = [tokenizer.decode([token]).strip() for token in range(len(tokenizer))]
    vectors = _encoded([text or "." for text in texts], encoder)
    centred = vectors - vectors.mean(0)
    axes = torch.linalg.svd(centred, full_matrices=False)[2][:width]
    shared = torch.nn.functional.normalize(centred @ axes.T, dim=1)
    own = torch.nn.functional.normalize(torch.randn(len(texts), width), dim=1)
    directions = shared + _OWN_SHARE * own
    meaningless = [i for i, text in enumerate(texts) if not any(map(str.isalnum, text))]
    directions[meaningless] = own[meaningless]
    directions[tokenizer.all_special_ids] = own[tokenizer.all_special_ids]
    marks = [i for i, text in enumerate(texts) if text.startswith("[") and len(text) > 2]
    directions[marks] = own[marks]
    return torch.nn.functional.normalize(directions, dim=1)


def token_rarity(tokenizer: PreTrainedTokenizerFast, rarity: Rarity) -> torch.Tensor:
    """[tokens]: how rare each token's text is as a word; pieces of words count as rare, stop words
    and signs as common."""
    texts = [tokenizer.decode([token]).strip() for token in range(len(tokenizer))]
    return torch.tensor([_rarity(text, rarity) for text in texts])


def _rarity(text: str, rarity: Rarity) -> float:
    carries = text.isalnum() and text.lower() not in STOP_WORDS
    return rarity.weight(stem(text)) if carries else 0.0


@torch.no_grad()
def _encoded(texts: list[str], encoder: Path) -> torch.Tensor:
    reader = AutoTokenizer.from_pretrained(encoder)
    model = AutoModel.from_pretrained(encoder, use_safetensors=True).eval()
    found = []
    for start in range(0, len(texts), _BATCH):
        batch = reader(texts[start : start + _BATCH], padding=True, return_tensors="pt")
        hidden = model(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1)
        found.append((hidden * mask).sum(1) / mask.sum(1))
    return torch.nn.functional.normalize(torch.cat(found), dim=1)
