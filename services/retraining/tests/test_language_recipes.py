# ruff: noqa: E402
"""Every method of a language model at toy size, and its model served by the engine's own loader."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is installed in the model environment only")

from datasets import Dataset
from gyre_models.tiny import make_model
from gyre_models.torch_engine.checkpoint import Checkpoint, load
from gyre_models.torch_engine.settings import EngineSettings
from gyre_retraining.recipes.ending import ENDED, FAILED
from gyre_retraining.recipes.job import Job
from gyre_retraining.recipes.language.models import tokenizer_of
from gyre_retraining.recipes.language.render import UNLEARNT, prompt, rendered, tokens
from gyre_retraining.recipes.run import run
from gyre_retraining.recipes.schema import catalogue

MakeJob = Callable[..., Job]
READER = Path(__file__).parents[3] / "infra" / "triton" / "checkpoints" / "gyre-reader"
LORA = {"adapter.kind": "lora", "adapter.targets": "[q_proj, v_proj, o_proj]"}
SMALL = {
    "training.max_steps": "2",
    "training.max_length": "128",
    "data.minimum_rows": "8",
    "limits.nice": "0",
    "limits.threads": "1",
    "limits.memory_mb": "0",
}
CATALOGUE = [
    name for name, one in catalogue().items() if one.kind != "embedding" and not one.search
]
SERVED = {".safetensors", ".json", ".jinja"}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def done(job: Job) -> dict[str, Any]:
    code = run(job.folder)
    assert code == ENDED, job.error.read_text() if job.error.exists() else "no error told"
    result: dict[str, Any] = json.loads(job.result.read_text())
    return result


def losses(job: Job) -> list[float]:
    told = [json.loads(line) for line in job.progress.read_text().splitlines()]
    return [line["loss"] for line in told if line["loss"] is not None]


def certainty(model: Any, tokenizer: Any, answer: str) -> float:
    """How likely the answer's first token is after a question of the test rows."""
    asked = [{"role": "user", "content": "Question: Is a otter in the river?"}]
    ids = tokenizer(prompt(tokenizer, asked), return_tensors="pt", add_special_tokens=False)
    first = tokenizer(answer, add_special_tokens=False)["input_ids"][0]
    with torch.no_grad():
        return float(model(**ids).logits[0, -1].softmax(-1)[first])


def served(folder: Path) -> Checkpoint:
    return load(folder, EngineSettings())


def with_adapter(base: Path, adapter: Path, folder: Path) -> Path:
    shutil.copytree(base, folder)
    shutil.copytree(adapter, folder / "adapters" / "candidate")
    (folder / "SHA256SUMS").unlink(missing_ok=True)
    return folder


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_recipe_of_the_catalogue_runs(
    make_job: MakeJob, tiny_model: Path, tmp_path: Path, name: str
) -> None:
    recipe = catalogue()[name]
    changes = SMALL | (
        {"distillation.teacher": str(make_model(tmp_path / "teacher", seed=5))}
        if recipe.method == "distill"
        else {}
    )
    if recipe.training.choices:
        changes["training.choices"] = "['yes', 'no']"
    job = make_job(tiny_model, changes=changes, recipe=recipe)
    assert done(job)["steps"] == 2
    assert {path.suffix for path in job.output.rglob("*") if path.is_file()} <= SERVED


@pytest.mark.parametrize("method", ["sft", "kto", "dpo", "domain"])
@pytest.mark.parametrize("adapter", ["none", "lora"])
def test_every_method_makes_a_model_that_the_engine_loads(
    make_job: MakeJob, tiny_model: Path, tmp_path: Path, method: str, adapter: str
) -> None:
    changes = (LORA if adapter == "lora" else {}) | {"training.max_steps": "3"}
    job = make_job(tiny_model, method, changes)
    result = done(job)
    assert result["steps"] == len(losses(job)) == 3
    assert result["metrics"]["eval_loss"] == pytest.approx(result["metrics"]["eval_loss"])
    assert {path.suffix for path in job.output.rglob("*") if path.is_file()} <= SERVED
    if adapter == "lora":
        folder = with_adapter(tiny_model, job.output, tmp_path / "whole")
        assert served(folder).adapters == ("candidate",)
    else:
        assert served(job.output).vocabulary == served(tiny_model).vocabulary


@pytest.mark.parametrize("adapter", ["none", "lora"])
def test_demonstrations_are_learnt(
    make_job: MakeJob, tiny_model: Path, tmp_path: Path, adapter: str
) -> None:
    changes = {"training.epochs": "3", "training.learning_rate": "5.0e-3"}
    job = make_job(tiny_model, "sft", changes | (LORA if adapter == "lora" else {}))
    done(job)
    before = served(tiny_model)
    folder = (
        with_adapter(tiny_model, job.output, tmp_path / "whole")
        if adapter == "lora"
        else job.output
    )
    after = served(folder)
    assert losses(job)[-1] < losses(job)[0] / 2
    assert certainty(after.model, after.tokenizer, "yes") > 0.5
    assert certainty(before.model, before.tokenizer, "yes") < 0.1


def test_a_choice_is_learnt_whatever_else_is_likely(make_job: MakeJob, tiny_model: Path) -> None:
    chosen = {"training.choices": "['yes', 'no']", "training.answer_tokens": "1"}
    job = make_job(tiny_model, "sft", chosen | {"training.learning_rate": "5.0e-3"})
    found = done(job)
    after = served(job.output)
    yes, no = (certainty(after.model, after.tokenizer, answer) for answer in ("yes", "no"))
    assert yes > 9 * no
    assert losses(job)[0] < 3  # of two tokens; over the whole vocabulary it begins far higher
    assert found["metrics"]["eval_loss"] < 0.2


def test_answers_that_choose_nothing_teach_no_choice(make_job: MakeJob, tiny_model: Path) -> None:
    chosen = {"training.choices": "['no']", "training.answer_tokens": "1"}
    job = make_job(tiny_model, "sft", chosen)
    assert run(job.folder) == FAILED
    assert json.loads(job.error.read_text())["reason"] == "too_few_rows"


def test_the_end_of_an_answer_is_learnt(make_job: MakeJob, tiny_model: Path) -> None:
    job = make_job(tiny_model, "sft", {"training.epochs": "3", "training.learning_rate": "5.0e-3"})
    done(job)
    after = served(job.output)
    asked = [{"role": "user", "content": "Question: Is a otter in the river?"}]
    ids = after.tokenizer(prompt(after.tokenizer, asked), return_tensors="pt")["input_ids"]
    answer = after.model.generate(input_ids=ids, max_new_tokens=12, do_sample=False)[0]
    assert answer[-1].item() in after.end_ids
    assert after.tokenizer.decode(answer[ids.shape[1] : -1]) == "yes"


@pytest.mark.parametrize("method", ["kto", "dpo"])
def test_preferences_move_the_model_towards_what_was_liked(
    make_job: MakeJob, tiny_model: Path, method: str
) -> None:
    changes = {"training.epochs": "2", "training.learning_rate": "1.0e-3"}
    job = make_job(tiny_model, method, changes, preference={"beta": 0.1})
    done(job)

    def odds(folder: Path) -> float:
        found = served(folder)
        yes, no = (certainty(found.model, found.tokenizer, text) for text in ("yes", "no"))
        return yes / no

    assert odds(job.output) > 2 * odds(tiny_model)


def test_a_reward_model_tells_the_better_answer_from_the_worse(
    make_job: MakeJob, tiny_model: Path
) -> None:
    job = make_job(tiny_model, "reward", {"training.epochs": "2"})
    assert done(job)["metrics"]["eval_accuracy"] == 1.0
    assert {path.suffix for path in job.output.rglob("*") if path.is_file()} <= SERVED


def test_a_small_model_becomes_like_its_teacher(
    make_job: MakeJob, tiny_model: Path, tmp_path: Path
) -> None:
    teacher = make_model(tmp_path / "teacher", seed=5)
    changes = {"training.epochs": "4", "training.learning_rate": "3.0e-3"}
    section = {"teacher": str(teacher), "divergence": 0.0}
    job = make_job(tiny_model, "distill", changes, distillation=section)
    done(job)
    assert losses(job)[-1] < losses(job)[0] / 2
    assert served(job.output).vocabulary == served(teacher).vocabulary


def test_a_small_model_learns_from_its_own_answers_too(
    make_job: MakeJob, tiny_model: Path, tmp_path: Path
) -> None:
    teacher = make_model(tmp_path / "teacher", seed=5)
    section = {"teacher": str(teacher), "own_share": 1.0}
    changes = {"training.max_steps": "2"}
    job = make_job(tiny_model, "distill", changes, distillation=section)
    assert done(job)["steps"] == 2


def test_a_teacher_of_another_vocabulary_is_refused(make_job: MakeJob, tiny_model: Path) -> None:
    job = make_job(tiny_model, "distill", distillation={"teacher": str(READER)})
    assert run(job.folder) == FAILED
    assert json.loads(job.error.read_text())["reason"] == "bad_teacher"


def test_only_the_first_tokens_of_an_answer_may_be_learnt() -> None:
    tokenizer = tokenizer_of(READER)
    asked = [{"role": "user", "content": "[1] One.\n[2] Two.\n\nQuestion: Which?"}]
    rows = Dataset.from_list([{"messages": asked, "completion": "[2] Two."}])
    (row,) = tokens(tokenizer, rendered(tokenizer, rows, 1), 64)
    learnt = [label for label in row["labels"] if label != UNLEARNT]
    assert tokenizer.decode(learnt) == "[2]"
    (whole,) = tokens(tokenizer, rendered(tokenizer, rows), 64)
    learnt = [label for label in whole["labels"] if label != UNLEARNT]
    assert tokenizer.decode(learnt) == "[2] Two.<|end|>"


def test_an_adapter_can_be_added_to_the_base_model(make_job: MakeJob, tiny_model: Path) -> None:
    changes = LORA | {"training.max_steps": "3", "export.merge": "true"}
    job = make_job(tiny_model, "sft", changes)
    done(job)
    assert served(job.output).adapters == ()
    assert (job.output / "model.safetensors").exists()


def test_an_adapter_names_its_base_model_and_no_folder(make_job: MakeJob, tiny_model: Path) -> None:
    job = make_job(tiny_model, "sft", LORA | {"training.max_steps": "1"})
    done(job)
    written = (job.output / "adapter_config.json").read_text()
    assert json.loads(written)["base_model_name_or_path"] == "tiny"
    assert str(tiny_model) not in written


def test_rows_that_do_not_fit_are_told(make_job: MakeJob, tiny_model: Path) -> None:
    job = make_job(tiny_model, "sft", {"training.max_length": "8"})
    assert run(job.folder) == FAILED
    assert json.loads(job.error.read_text())["reason"] == "too_few_rows"


def test_a_job_without_held_back_rows_is_not_evaluated(make_job: MakeJob, tiny_model: Path) -> None:
    job = make_job(tiny_model, "sft", {"training.max_steps": "2"}, held_back=0)
    assert done(job)["metrics"] == {}


def test_the_validation_split_is_looked_at_on_the_way(make_job: MakeJob, tiny_model: Path) -> None:
    changes = {"training.max_steps": "4", "training.evaluate_every": "2"}
    job = make_job(tiny_model, "sft", changes)
    done(job)
    told = [json.loads(line) for line in job.progress.read_text().splitlines()]
    assert [line["step"] for line in told if "eval_loss" in line["metrics"]][:2] == [2, 4]


@pytest.mark.parametrize("adapter", ["none", "lora"])
def test_the_reference_model_learns_to_cite_the_other_sentence(
    make_job: MakeJob, tmp_path: Path, adapter: str
) -> None:
    changes = LORA if adapter == "lora" else {}
    job = make_job(READER, "sft", changes | {"training.max_steps": "6"})
    done(job)
    assert losses(job)[-1] < losses(job)[0]
    folder = (
        with_adapter(READER, job.output, tmp_path / "whole") if adapter == "lora" else job.output
    )
    assert served(folder).vocabulary == 12288


def test_a_prompt_is_what_the_model_server_renders() -> None:
    tokenizer = tokenizer_of(READER)
    asked = [{"role": "user", "content": "[1] One.\n[2] Two.\n\nQuestion: Which?"}]
    text = prompt(tokenizer, asked)
    assert text == "<|begin|><|question|> Which?<|sources|>[1] One.[1][2] Two.[2]<|answer|>"
    begin = tokenizer.bos_token_id
    assert tokenizer(text)["input_ids"].count(begin) == 1
