"""The rows of a job's dataset."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gyre_retraining.recipes.ending import JobError

if TYPE_CHECKING:
    from gyre_retraining.recipes.job import Job

COLUMNS = {
    "demonstrations": ("messages", "completion"),
    "preferences": ("messages", "chosen", "rejected"),
    "thumbs": ("messages", "completion", "label"),
    "texts": ("text",),
    "pairs": ("query", "positive", "negatives"),
}


def check(job: Job) -> None:
    """Raises `JobError`: `bad_dataset` or `too_few_rows`, before anything costly begins."""
    import pyarrow.parquet as pq

    form, fewest = job.recipe.form, job.recipe.data.minimum_rows
    try:
        found = json.loads((job.dataset / "manifest.json").read_text()).get("form", form)
        schema = pq.read_schema(job.dataset / "train.parquet")
        rows = pq.read_metadata(job.dataset / "train.parquet").num_rows
    except (OSError, ValueError, AttributeError) as error:
        raise JobError("bad_dataset", str(error)) from error
    if found != form:
        raise JobError("bad_dataset", f"its form is {found}, the recipe wants {form}")
    if missing := [name for name in COLUMNS[form] if name not in schema.names]:
        raise JobError("bad_dataset", f"train.parquet lacks {', '.join(missing)}")
    if rows < fewest:
        raise JobError("too_few_rows", f"{rows} rows, the recipe wants at least {fewest}")


def load(job: Job, split: str) -> Any:
    """The split (`train`, `validation`) as a `datasets.Dataset` in memory; maybe empty.

    Only the form's own columns; rows of no weight are left out, all others count the same.
    An absent file is an empty split.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
    from datasets import Dataset

    columns = list(COLUMNS[job.recipe.form])
    path = job.dataset / f"{split}.parquet"
    table = pq.read_table(path) if path.exists() else None
    if not table:
        return Dataset.from_dict({name: [] for name in columns})
    if "weight" in table.column_names:
        table = table.filter(pc.greater(table["weight"], 0))
    return Dataset(table.select(columns))
