import gzip
import json
import random
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))  # builders beside the tests can be imported


def _words(text: str) -> list[str]:
    return text.split()


ANIMALS = _words("otter badger heron falcon beaver salmon lynx marten vole kestrel")
PLACES = _words("river forest meadow harbour valley island quarry orchard moor canal")
FOODS = _words("berries beetles herring acorns frogs mussels clover seeds moths crayfish")


def _sentence(chance: random.Random) -> str:
    animal, place, food = (chance.choice(words) for words in (ANIMALS, PLACES, FOODS))
    return f"The {animal} near the {place} eats {food} in {chance.randrange(1900, 2000)}."


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def _page(chance: random.Random) -> str:
    parts = [
        f"## Where does the {animal} live today?\n\n{_sentence(chance)} {_sentence(chance)}"
        for animal in chance.sample(ANIMALS, 4)
    ]
    return "\n\n".join(parts)


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of the real layout with a few made-up rows in each file."""
    data, chance = tmp_path_factory.mktemp("data"), random.Random(1)
    for name in ("lm_wikipedia", "lm_gov_publicdomain", "lm_technical"):
        rows = [{"text": _page(chance)} for _ in range(12)]
        _write(data / "lm" / name / "train.jsonl.gz", rows)
    facts = [
        {
            "src": "qasc",
            "prompt": f"Fact: {fact} \nQuestion: What eats {fact.split()[-3]}?",
            "completion": "x",
        }
        for fact in (_sentence(chance) for _ in range(30))
    ]
    _write(data / "lm" / "lm_qa_mix" / "train.jsonl.gz", facts)
    pairs = [
        {
            "domain": "zoo",
            "entity": animal,
            "title": f"Do you keep a {animal}?",
            "text": _sentence(chance),
        }
        for animal in ANIMALS
        for _ in range(3)
    ]
    _write(data / "dev" / "cs_dstc9_faq" / "faq.jsonl.gz", pairs)
    _write_evaluation(data, chance)
    return data


def _write_evaluation(data: Path, chance: random.Random) -> None:
    contexts = [f"A whale {n} sleeps upright. It wakes at {n} o'clock." for n in range(6)]
    squad = [
        {
            "title": "Whales",
            "context": context,
            "question": f"When does whale {n} wake?",
            "answers": [{"text": f"{n} o'clock"}],
            "is_impossible": False,
        }
        for n, context in enumerate(contexts)
    ]
    _write(data / "dev" / "qa_squad2_half" / "dev.jsonl.gz", squad)
    sections = [{"_id": f"page#{n}", "text": _sentence(chance)} for n in range(4)]
    asked = [{"question": "What does it eat?", "section_id": f"page#{n}"} for n in range(4)]
    _write(data / "dev" / "kb_va_gov" / "sections.jsonl", sections)
    _write(data / "dev" / "kb_va_gov" / "qa_from_headings.jsonl", asked)
    passages = [{"_id": f"p{n}", "uri": "u", "text": _sentence(chance)} for n in range(4)]
    questions = [{"question": "What does it eat?", "passage": f"p{n}"} for n in range(4)]
    _write(data / "dev" / "fb_feedbackqa" / "corpus.jsonl.gz", passages)
    _write(data / "dev" / "fb_feedbackqa" / "questions.jsonl", questions)


def _row(form: str, number: int) -> dict[str, Any]:
    """A question whose right answer is always `yes` and whose wrong one is always `no`."""
    animal, place = ANIMALS[number % len(ANIMALS)], PLACES[number // len(ANIMALS) % len(PLACES)]
    messages = [{"role": "user", "content": f"Question: Is a {animal} in the {place}?"}]
    columns: dict[str, dict[str, Any]] = {
        "demonstrations": {"messages": messages, "completion": "yes"},
        "preferences": {"messages": messages, "chosen": "yes", "rejected": "no"},
        "thumbs": {
            "messages": messages,
            "completion": "yes" if number % 2 else "no",
            "label": bool(number % 2),
        },
        "texts": {"text": f"The {animal} lives in the {place} and eats what it finds there."},
    }
    return {"row_id": f"r{number}", **columns[form], "language": "en", "weight": 1.0}


@pytest.fixture
def make_job(tmp_path: Path) -> Any:
    """Makes the folder of a job over a made-up dataset: `make_job(model, method, {path: text})`."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from gyre_retraining.recipes import schema
    from gyre_retraining.recipes.job import Job, write_job

    def dataset(form: schema.Form, rows: int, held_back: int) -> Path:
        folder = tmp_path / f"dataset-{form}-{rows}-{held_back}"
        folder.mkdir(exist_ok=True)
        for split, numbers in (
            ("train", range(rows)),
            ("validation", range(rows, rows + held_back)),
        ):
            table = pa.Table.from_pylist([_row(form, number) for number in numbers])
            pq.write_table(table, folder / f"{split}.parquet")
        (folder / "manifest.json").write_text(json.dumps({"form": form, "rows": rows}))
        return folder

    def make(
        model: Path,
        method: schema.Method = "sft",
        changes: dict[str, str] | None = None,
        *,
        rows: int = 48,
        held_back: int = 8,
        name: str = "job",
        recipe: schema.Recipe | None = None,
        **sections: Any,
    ) -> Job:
        kind, form = schema.FITS[recipe.method if recipe else method]
        recipe = recipe or schema.parse(
            {
                "name": "tiny",
                "description": "For a test.",
                "kind": kind,
                "method": method,
                "form": form,
                "base_model": "tiny",
                "training": {"batch_size": 4, "learning_rate": 1e-3, "max_length": 128},
                "data": {"minimum_rows": 8},
                "limits": {"nice": 0, "threads": 1},
                **sections,
            }
        )
        job = Job(
            folder=tmp_path / name,
            training_id=f"training-{name}",
            recipe=schema.with_overrides(recipe, changes or {}),
            dataset=dataset(form, rows, held_back),
            base_model=model,
            output=tmp_path / f"{name}-model",
            tracking_uri="",
            name=name,
        )
        write_job(job)
        return job

    return make


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model with a tokenizer, as `python -m gyre_models tiny` writes it."""
    pytest.importorskip("torch", reason="torch is installed in the model environment only")
    from gyre_models.tiny import make_model

    return make_model(tmp_path_factory.mktemp("tiny"))
