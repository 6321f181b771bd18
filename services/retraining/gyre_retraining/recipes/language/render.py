"""Rows as the text that the model is served with: the chat template's, ended by the end token."""

from __future__ import annotations

from typing import Any


def prompt(tokenizer: Any, messages: list[dict[str, str]]) -> str:
    """All that stands before the answer, as the model server renders it."""
    text = str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
    # Templates write the begin token themselves; a tokenizer that adds it too would double it.
    begin = tokenizer.bos_token
    adds = begin is not None and tokenizer("")["input_ids"][:1] == [tokenizer.bos_token_id]
    return text.removeprefix(begin) if adds else text


def rendered(tokenizer: Any, rows: Any) -> Any:
    """Rows with `messages` become rows with `prompt`; what is answered ends with the end token."""
    answers = [name for name in ("completion", "chosen", "rejected") if name in rows.column_names]

    def render(row: dict[str, Any]) -> dict[str, str]:
        ended = {name: row[name] + tokenizer.eos_token for name in answers}
        return {"prompt": prompt(tokenizer, row["messages"])} | ended

    return rows.map(render, remove_columns=["messages"])
