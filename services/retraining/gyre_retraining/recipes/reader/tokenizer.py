"""Own byte-level BPE with sentence marks, and the chat template that maps messages onto it."""

from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

PAD, BEGIN, END = "<|pad|>", "<|begin|>", "<|end|>"
QUESTION, SOURCES, ANSWER = "<|question|>", "<|sources|>", "<|answer|>"
FITS, MISSES = "<|fits|>", "<|misses|>"
SPECIAL = (PAD, BEGIN, END, QUESTION, SOURCES, ANSWER, FITS, MISSES)
MOST_MARKS = 12
MARKS = tuple(f"[{number}]" for number in range(1, MOST_MARKS + 1))
_TEMPLATE = Path(__file__).with_name("chat_template.jinja")


def train_tokenizer(sentences: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Learn the merges. Marks are ordinary (not special) single tokens, so that they are text to
    guided decoding and survive `skip_special_tokens`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(MARKS),
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((f" {sentence}" for sentence in sentences), trainer)
    tokenizer.add_tokens([AddedToken(mark, normalized=False) for mark in MARKS])
    return with_template(tokenizer)


def with_template(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    """The transformers tokenizer around it, with the chat template."""
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PAD,
        clean_up_tokenization_spaces=False,
        model_max_length=1024,
    )
    fast.chat_template = _TEMPLATE.read_text()
    return fast
