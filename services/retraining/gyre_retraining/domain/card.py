"""A model's card: Markdown, made of its record alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gyre_retraining.domain.models import (
    DatasetFacts,
    Making,
    ModelKind,
    ModelRecord,
    ModelVersion,
    Port,
)

UNKNOWN = "not known"
_USES = {
    ModelKind.LANGUAGE: "It writes answers from passages that it is given.",
    ModelKind.EMBEDDING: "It turns questions and passages into vectors for search.",
    ModelKind.REWARD: "It scores answers. It judges, and is never served to users.",
}
_LIMITS = {
    ModelKind.LANGUAGE: "It knows no more than its passages; what it writes may be wrong.",
    ModelKind.EMBEDDING: "Vectors of another version cannot be compared with its own.",
    ModelKind.REWARD: "It repeats the taste of its judges; compare scores for one question only.",
}


def card(model: ModelVersion) -> str:
    """The same version gives the same card, apart from its aliases."""
    record = model.record
    parts = [
        f"# {record.name}, version {model.version}",
        _intended(model),
        *_made(record),
        *_data(record),
        *_metrics(record),
        *_limits(record),
        *_files(record),
    ]
    return "\n\n".join(parts) + "\n"


def _intended(model: ModelVersion) -> str:
    record = model.record
    aliases = ", ".join(model.aliases)
    facts = {
        "Kind": record.kind.value,
        "Aliases": aliases or "none",
        "Registered": record.register_time.strftime("%Y-%m-%d %H:%M:%S UTC"),
        "Base model": record.base_model or "none: from scratch, or imported",
        "Architecture": record.stored.architecture or UNKNOWN,
        "Parameters": f"{record.stored.parameters:,}",
        "Takes": _ports(record.signature.inputs),
        "Gives": _ports(record.signature.outputs),
        "Licence": record.licences.model or f"{UNKNOWN}; set it before you pass the model on",
    }
    return f"{_USES[record.kind]}\n\n{_table(('', ''), facts.items())}"


def _made(record: ModelRecord) -> list[str]:
    if record.making is None:
        return ["## How it was made", "It was imported; nothing of its training is known here."]
    parts = ["## How it was made", _table(("", ""), _making(record, record.making).items())]
    if record.making.recipe_yaml:
        parts.append(f"```yaml\n{record.making.recipe_yaml.strip()}\n```")
    return parts


def _making(record: ModelRecord, making: Making) -> dict[str, str]:
    known = {
        "Training": record.training_id,
        "Why": making.reason,
        "Recipe": making.recipe,
        "Recipe's SHA-256": making.recipe_hash,
        "Method": making.method,
        "Optimiser steps": f"{making.steps:,}" if making.steps else "",
        "Seconds": f"{making.seconds:,.0f}" if making.seconds else "",
        "Peak memory": f"{making.peak_memory_bytes / 1e6:,.0f} MB"
        if making.peak_memory_bytes
        else "",
        "Code": making.code_version,
        "Tracking run": record.tracking_run_id,
    }
    return {name: value for name, value in known.items() if value}


def _data(record: ModelRecord) -> list[str]:
    dataset = record.dataset
    if dataset is None:
        return ["## Data", "Nothing is known of the data."]
    return [
        "## Data",
        *_described(dataset),
        f"Licence of the data: {record.licences.data or UNKNOWN}.",
    ]


def _described(dataset: DatasetFacts) -> Iterable[str]:
    as_of = f", sources up to {dataset.as_of:%Y-%m-%d %H:%M:%S UTC}" if dataset.as_of else ""
    yield f"Dataset `{dataset.dataset_id}` of {dataset.form}{as_of}."
    yield _table(("split", "rows"), _counts(dataset.rows))
    if dataset.filters:
        yield _table(("left out by", "rows"), _counts(dict(dataset.filters)))
    if dataset.slices:
        yield _table(("slice", "rows"), _counts(dict(sorted(dataset.slices.items()))))


def _metrics(record: ModelRecord) -> list[str]:
    if not record.metrics:
        return ["## Metrics", "None were computed on the validation split."]
    rows = [(name, f"{value:.6g}") for name, value in sorted(record.metrics.items())]
    said = "On the validation split. Whether it may serve is the gate's decision, not theirs."
    return ["## Metrics", said, _table(("metric", "value"), rows)]


def _limits(record: ModelRecord) -> list[str]:
    found = [_LIMITS[record.kind]]
    dataset = record.dataset
    if dataset is not None:
        rows = sum(dataset.rows.values())
        found.append(f"It saw {rows:,} rows; what they do not hold was not learnt here.")
        languages = [one for one in sorted(dataset.slices) if one.startswith("language=")]
        if languages:
            found.append(
                f"Trained for {', '.join(one.partition('=')[2] for one in languages)} only."
            )
    return ["## Limits", "\n".join(f"- {one}" for one in found)]


def _files(record: ModelRecord) -> list[str]:
    rows = [
        (f"`{one.path}`", f"{one.size_bytes:,}", f"`{one.sha256}`") for one in record.stored.files
    ]
    said = f"Content `{record.stored.content_hash}`. Weights are safetensors only."
    return ["## Files", said, _table(("file", "bytes", "SHA-256"), rows)]


def _counts(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    return [(name, f"{count:,}") for name, count in counts.items()]


def _ports(ports: Iterable[Port]) -> str:
    return ", ".join(
        f"{one.name} ({one.type}{''.join(f'[{size}]' for size in one.shape)})" for one in ports
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *(tuple(map(_cell, row)) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    """A cell may hold what a person typed: it stays one cell."""
    return " ".join(text.split()).replace("|", "\\|")
