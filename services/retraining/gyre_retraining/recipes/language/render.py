"""Rows as the text that the model is served with: the chat template's, ended by the end token."""

from __future__ import annotations

from typing import Any

from gyre_retraining.recipes.ending import JobError

UNLEARNT = -100


def prompt(tokenizer: Any, messages: list[dict[str, str]]) -> str:
    """All that stands before the answer, as the model server renders it."""
    text = str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
    # Templates write the begin token themselves; a tokenizer that adds it too would double it.
    begin = tokenizer.bos_token
    adds = begin is not None and tokenizer("")["input_ids"][:1] == [tokenizer.bos_token_id]
    return text.removeprefix(begin) if adds else text


def rendered(tokenizer: Any, rows: Any, answer_tokens: int = 0) -> Any:
    """Rows with `messages` become rows with `prompt`; what is answered ends with the end token.

    answer_tokens: cut after so many and without an end; 0: whole.
    """
    answers = [name for name in ("completion", "chosen", "rejected") if name in rows.column_names]

    def render(row: dict[str, Any]) -> dict[str, str]:
        ended = {name: _answer(tokenizer, row[name], answer_tokens) for name in answers}
        return {"prompt": prompt(tokenizer, row["messages"])} | ended

    return rows.map(render, remove_columns=["messages"])


def tokens(tokenizer: Any, rows: Any, longest: int) -> Any:
    """Rows of `prompt` and `completion` as ids, with labels of the completion only.

    Longer ones are cut at their end; those whose prompt fills `longest` are left out. Raises
    `JobError` (`too_few_rows`) where that is every one.
    """

    def ids(row: dict[str, str]) -> dict[str, list[int]]:
        asked = tokenizer(row["prompt"])["input_ids"]
        answer = tokenizer(row["completion"], add_special_tokens=False)["input_ids"]
        whole = (asked + answer)[:longest]
        labels = [UNLEARNT] * len(asked) + whole[len(asked) :]
        return {"input_ids": whole, "labels": labels, "prompt_ids": asked}

    found = rows.map(ids, remove_columns=rows.column_names)
    kept = found.filter(lambda row: len(row["prompt_ids"]) < longest)
    if len(kept) == 0:
        raise JobError("too_few_rows", f"none fits {longest} tokens")
    return kept


def _answer(tokenizer: Any, text: str, longest: int) -> str:
    if not longest:
        return str(text + tokenizer.eos_token)
    first = tokenizer(text, add_special_tokens=False)["input_ids"][:longest]
    return str(tokenizer.decode(first))
