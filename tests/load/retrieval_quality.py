"""How good is search: nDCG@10 and MRR@10 of dense, lexical and hybrid on four real sets.

    python -m tests.load.retrieval_quality [--write]

Passages as ingestion cuts them, of which the model sees the text alone, go through the retrieval
service's own stories into a real Milvus
Lite server with real MiniLM vectors, and are searched through them. A document's place is that of
its best passage. Fusion is tuned on one part of the questions and reported on another one.
`--write` puts the tables into `docs/retrieval.md` between its markers. Vectors are cached in
`var/quality`.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import hashlib
import json
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import ir_measures
import numpy as np
from ir_measures import RR, nDCG

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "infra" / "local"))

from gyre_ingestion.adapters.tokenizers import FileTokenizer  # noqa: E402
from gyre_ingestion.domain.chunking import cut  # noqa: E402
from gyre_ingestion.domain.parsed import Block, BlockKind, ParsedDocument  # noqa: E402
from gyre_ingestion.settings import Settings as IngestionSettings  # noqa: E402
from gyre_local.milvus import MilvusServer, MilvusSettings  # noqa: E402
from gyre_retrieval.adapters.memory import MemoryCatalogue  # noqa: E402
from gyre_retrieval.adapters.milvus import IndexSettings, MilvusVectorIndex  # noqa: E402
from gyre_retrieval.domain.identity import DocumentKey, Version  # noqa: E402
from gyre_retrieval.domain.passage import (  # noqa: E402
    Chunk,
    EmbeddedPassage,
    Part,
    Passage,
    Source,
)
from gyre_retrieval.domain.query import Conditions, Found, Mode, Query, Route  # noqa: E402
from gyre_retrieval.domain.ranking import Fusion, FusionMethod, hits_of  # noqa: E402
from gyre_retrieval.domain.vector import Vector  # noqa: E402
from gyre_retrieval.ports import Embedded  # noqa: E402
from gyre_retrieval.settings import Settings  # noqa: E402
from gyre_retrieval.use_cases.indexing import IndexDocuments  # noqa: E402
from gyre_retrieval.use_cases.searching import SearchPassages  # noqa: E402

from tests.e2e.test_va_gov import QUESTION, chosen  # noqa: E402

DATA = ROOT.parent / "shared" / "data" / "dev"
CACHE = ROOT / "var" / "quality"
MODEL = ROOT / "var" / "models" / "all-minilm-l6-v2-openvino"
PAGE = ROOT / "docs" / "retrieval.md"
EMBEDDER = "all-minilm-l6-v2"
DEPTH = 50
TUNING = 500
MEASURES = (nDCG @ 10, RR @ 10)
Ranks = Mapping[str, float]


@dataclass(frozen=True)
class Document:
    document_id: str
    title: str
    headings: tuple[str, ...]
    text: str
    whole: bool = False


@dataclass(frozen=True)
class Question:
    question_id: str
    text: str
    answers: frozenset[str]
    tuning: bool


@dataclass(frozen=True)
class Set:
    name: str
    collection: str
    documents: Sequence[Document]
    questions: Sequence[Question]


class CachedEmbedder:
    """`Embedder` over vectors that were made beforehand."""

    def __init__(self, vectors: Mapping[str, Vector]) -> None:
        self._vectors = vectors

    async def embed(self, text: str, embedder: str) -> Embedded:
        return Embedded(self._vectors[text], EMBEDDER)

    async def embed_passages(self, texts: Sequence[str], embedder: str) -> list[Vector]:
        return [self._vectors[text] for text in texts]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="put it into docs/retrieval.md")
    parser.add_argument("--abstracts", type=int, help="take only so many of SciFact's 5,183")
    parser.add_argument(
        "--only", nargs="*", default=["uk", "cdc", "scifact", "va-gov"], help="which sets"
    )
    parser.add_argument("--questions", type=int, default=500, help="at most so many of each part")
    parser.add_argument("--k1", type=float, default=Settings().bm25_k1)
    parser.add_argument("--b", type=float, default=Settings().bm25_b)
    arguments = parser.parse_args()
    if not DATA.exists():
        raise SystemExit(f"no data at {DATA}")
    settings = IndexSettings("FLAT", arguments.k1, arguments.b)
    CACHE.mkdir(parents=True, exist_ok=True)
    tables = asyncio.run(measure(settings, sets_of(arguments), arguments.questions))
    print(tables)
    if arguments.write:
        write(tables)


def sets_of(arguments: argparse.Namespace) -> list[Set]:
    sets = feedbackqa() if {"uk", "cdc"} & set(arguments.only) else []
    if "scifact" in arguments.only:
        sets.append(scifact(arguments.abstracts))
    if "va-gov" in arguments.only:
        sets.append(va_gov())
    return [one for one in sets if one.collection.removeprefix("feedbackqa-") in arguments.only]


async def measure(settings: IndexSettings, sets: Sequence[Set], most: int) -> str:
    state = CACHE / f"milvus-{time.time_ns()}"
    runs: dict[tuple[str, bool], dict[Route, dict[str, list[Found]]]] = {}
    with MilvusServer(MilvusSettings(state)) as server:
        async with MilvusVectorIndex(server.uri, timeout=60.0, settings=settings) as index:
            for one in sets:
                search = await indexed(one, index)
                for tuning in (True, False):
                    chosen = [ask for ask in one.questions if ask.tuning is tuning][:most]
                    runs[one.name, tuning] = await routes(one, search, chosen)
            fusion = current_fusion()
            found = await spot_check(sets[0], search_of(sets[0], index), runs, fusion)
    return report(sets, runs, fusion, settings) + found


def scifact(abstracts: int | None) -> Set:
    """abstracts: all that are judged, and so many others that there are this many; None: all."""
    folder = DATA / "ir_scifact"
    answers: dict[str, set[str]] = {}
    for row in lines(folder / "qrels_train.jsonl"):
        answers.setdefault(row["query-id"], set()).add(row["corpus-id"])
    judged = set().union(*answers.values())
    corpus = sorted(lines(folder / "corpus.jsonl.gz"), key=lambda row: row["_id"] not in judged)
    random.Random(1).shuffle(rest := corpus[len(judged) :])
    chosen = [*corpus[: len(judged)], *rest][:abstracts]
    documents = [Document(row["_id"], row["title"], (), row["text"], True) for row in chosen]
    rows = [row for row in lines(folder / "queries_train.jsonl") if row["_id"] in answers]
    random.Random(1).shuffle(rows)
    questions = [
        Question(row["_id"], row["text"], frozenset(answers[row["_id"]]), place < len(rows) // 2)
        for place, row in enumerate(rows)
    ]
    name = "SciFact" if abstracts is None else f"SciFact ({len(documents)} abstracts)"
    return Set(name, "scifact", documents, questions)


def feedbackqa() -> list[Set]:
    folder = DATA / "fb_feedbackqa"
    corpus = list(lines(folder / "corpus.jsonl.gz"))
    asked = list(lines(folder / "questions.jsonl"))
    return [feedbackqa_of(region, corpus, asked) for region in ("UK", "CDC")]


def feedbackqa_of(region: str, corpus: Sequence[dict], asked: Sequence[dict]) -> Set:
    documents = [
        Document(row["_id"], row["title"], tuple(row["headers"]), row["text"])
        for row in corpus
        if row["region"] == region
    ]
    rows = [row for row in asked if row["region"] == region]
    train = [row for row in rows if row["split"] == "train"]
    some = random.Random(1).sample(train, TUNING)
    valid = [row for row in rows if row["split"] == "valid"]
    random.Random(1).shuffle(valid)
    questions = [
        Question(row["id"], row["question"], frozenset({row["passage"]}), row["split"] == "train")
        for row in some + valid
    ]
    return Set(f"FeedbackQA {region}", f"feedbackqa-{region.lower()}", documents, questions)


def va_gov() -> Set:
    """Headings that are questions, to their own section; half of the pages for tuning.

    What `tests/e2e/test_va_gov.py` asks is left out of the tuning part.
    """
    folder = DATA / "kb_va_gov"
    documents = [
        Document(row["_id"], row["title"], tuple(row["path"]), row["text"])
        for row in lines(folder / "sections.jsonl")
    ]
    tested = {
        heading
        for edits in chosen(folder / "events.jsonl.gz").values()
        for edit in edits
        for heading in QUESTION.findall(edit.get("content") or "")
    }
    questions = []
    for row in lines(folder / "qa_from_headings.jsonl"):
        tuning = random.Random(row["doc_id"]).random() < 0.5
        if not (tuning and row["question"] in tested):
            answers = frozenset({row["section_id"]})
            questions.append(Question(row["id"], row["question"], answers, tuning))
    return Set("VA.gov", "va-gov", documents, questions)


def lines(path: Path) -> Iterable[dict]:
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    yield from map(json.loads, filter(None, text.split("\n")))


async def indexed(one: Set, index: MilvusVectorIndex) -> SearchPassages:
    pieces = [(document, list(pieces_of(document))) for document in one.documents]
    texts = [text for _, some in pieces for text in some]
    vectors = embedded(texts)
    search = search_of(one, index)
    story = IndexDocuments(CATALOGUE, index, CachedEmbedder({}), sweep=lambda: None)
    place, parts = 0, []
    for document, some in pieces:
        parts.append(part_of(one, document, some, vectors[place : place + len(some)]))
        place += len(some)
    started = time.monotonic()
    done = 0
    for batch in chop(parts):
        await asyncio.gather(*(story.receive(part) for part in batch))
        done += len(batch)
        show(f"{one.name}: indexed", done, len(parts), started)
    return search


CATALOGUE = MemoryCatalogue()


def search_of(one: Set, index: MilvusVectorIndex) -> SearchPassages:
    texts = [ask.text for ask in one.questions]
    vectors = dict(zip(texts, embedded(texts), strict=True))
    return SearchPassages(CATALOGUE, index, CachedEmbedder(vectors), current_fusion())


def current_fusion() -> Fusion:
    settings = Settings()
    weights = {
        Route.DENSE: settings.fusion_dense_weight,
        Route.LEXICAL: settings.fusion_lexical_weight,
    }
    return Fusion(settings.fusion_method, weights, settings.fusion_depth, settings.fusion_k)


def chop(parts: list[Part]) -> Iterable[list[Part]]:
    return (parts[start : start + 500] for start in range(0, len(parts), 500))


def pieces_of(document: Document) -> Iterable[str]:
    """By ingestion's own cutter: the heading right above a section opens its first passage; the
    title and the headings further above are words of the lexical route alone.

    An abstract of SciFact stays one passage, as in the benchmark; the model reads 256 tokens of it.
    """
    above = document.headings[-1] if document.headings else document.title
    if document.whole:
        yield f"{above}\n{document.text}"
        return
    path = (document.title, *document.headings)
    lines_of_it = filter(str.strip, document.text.split("\n"))
    paragraphs = [Block(BlockKind.PARAGRAPH, line.strip(), path) for line in lines_of_it]
    blocks = (Block(BlockKind.HEADING, above, path), *paragraphs)
    settings = IngestionSettings()
    parsed = ParsedDocument(blocks, "text/html", document.title)
    for chunk in cut(parsed, TOKENIZER, settings.chunk_tokens, settings.chunk_overlap):
        yield chunk.text


TOKENIZER = FileTokenizer(MODEL / "tokenizer.json")


def part_of(one: Set, document: Document, texts: Sequence[str], vectors: np.ndarray) -> Part:
    key, version = DocumentKey("quality", one.collection, document.document_id), Version(1, 1)
    source = Source(document.document_id, document.title, "text/plain", "en", {})
    passages = tuple(
        EmbeddedPassage(
            Passage(key, version, "1", source, chunk_of(document, ordinal, text)), vectors[ordinal]
        )
        for ordinal, text in enumerate(texts)
    )
    return Part(key, version, "1", 0, 1, EMBEDDER, vectors.shape[1], passages)


def chunk_of(document: Document, ordinal: int, text: str) -> Chunk:
    identity = f"{document.document_id}-{ordinal}"
    path = (document.title, *document.headings)
    return Chunk(identity, ordinal, text, path, 0, ((0, len(text)),), 0, 0, len(text))


def embedded(texts: Sequence[str]) -> np.ndarray:
    """By `.venv-models` in a process of its own; kept in `var/quality`."""
    cache = CACHE / "vectors.sqlite"
    command = [ROOT / ".venv-models/bin/python", Path(__file__).parent / "embed_offline.py"]
    stdin = "\n".join(map(json.dumps, texts))
    subprocess.run([*command, MODEL, cache], input=stdin, text=True, check=True)
    with sqlite3.connect(cache) as kept:
        known = dict(kept.execute("select text, vector from vectors"))
    marks = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    return np.stack([np.frombuffer(known[mark], dtype="<f4") for mark in marks])


async def routes(
    one: Set, search: SearchPassages, questions: Sequence[Question]
) -> dict[Route, dict[str, list[Found]]]:
    """Each route alone, as deep as fusion looks."""
    found: dict[Route, dict[str, list[Found]]] = {route: {} for route in Route}
    started = time.monotonic()
    for done, ask in enumerate(questions, start=1):
        for route in Route:
            answer = await search.search(query_of(one, ask, Mode(route.value), DEPTH))
            found[route][ask.question_id] = [Found(hit.passage, hit.score) for hit in answer.hits]
        show(f"{one.name}: asked", done, len(questions), started)
    return found


def query_of(one: Set, ask: Question, mode: Mode, top_k: int) -> Query:
    return Query(ask.text, mode, top_k, Conditions("quality", one.collection))


async def spot_check(
    one: Set,
    search: SearchPassages,
    runs: Mapping[tuple[str, bool], dict[Route, dict[str, list[Found]]]],
    fusion: Fusion,
) -> str:
    """What is reported is what the service's own hybrid search gives."""
    asked = runs[one.name, False][Route.DENSE]
    questions = [ask for ask in one.questions if ask.question_id in asked][:25]
    for ask in questions:
        answer = await search.search(query_of(one, ask, Mode.HYBRID, 10))
        rankings = {route: runs[one.name, False][route][ask.question_id] for route in Route}
        expected = hits_of(Mode.HYBRID, rankings, fusion)[:10]
        if [hit.passage for hit in answer.hits] != [hit.passage for hit in expected]:
            raise SystemExit(f"hybrid search differs from what is reported: {ask.text}")
    return f"\n{len(questions)} hybrid searches of the service gave the very lists fused here.\n"


def documents_of(passages: Iterable[tuple[Passage, float]]) -> dict[str, float]:
    ranks: dict[str, float] = {}
    for passage, score in passages:
        ranks.setdefault(passage.document.document_id, score)
    return ranks


def hybrid(
    run: Mapping[Route, Mapping[str, list[Found]]], fusion: Fusion
) -> dict[str, dict[str, float]]:
    return {
        ask: documents_of(
            (hit.passage, hit.score)
            for hit in hits_of(Mode.HYBRID, {route: run[route][ask] for route in Route}, fusion)
        )
        for ask in run[Route.DENSE]
    }


def alone(run: Mapping[str, list[Found]]) -> dict[str, dict[str, float]]:
    return {ask: documents_of((f.passage, f.score) for f in found) for ask, found in run.items()}


def scores(one: Set, run: Mapping[str, Ranks]) -> list[float]:
    """In order of MEASURES. Ties keep the order of the ranking."""
    judged = {
        ask.question_id: dict.fromkeys(ask.answers, 1)
        for ask in one.questions
        if ask.question_id in run
    }
    ordered = {
        ask: {document: float(-place) for place, document in enumerate(ranks)}
        for ask, ranks in run.items()
    }
    result = ir_measures.calc_aggregate(MEASURES, judged, ordered)
    return [result[measure] for measure in MEASURES]


def report(
    sets: Sequence[Set],
    runs: Mapping[tuple[str, bool], dict[Route, dict[str, list[Found]]]],
    fusion: Fusion,
    settings: IndexSettings,
) -> str:
    head = "| set | questions | dense | lexical (BM25) | hybrid |\n|---|---|---|---|---|\n"
    text = f"BM25 k1 {settings.k1}, b {settings.b}; fusion by {named(fusion)}, "
    text += f"depth {fusion.depth}. nDCG@10 / MRR@10:\n\n"
    for tuning, title in ((False, "Reported part"), (True, "Tuning part")):
        text += f"{title}:\n\n{head}"
        for one in sets:
            run = runs[one.name, tuning]
            cells = [alone(run[Route.DENSE]), alone(run[Route.LEXICAL]), hybrid(run, fusion)]
            figures = [" / ".join(f"{x:.3f}" for x in scores(one, cell)) for cell in cells]
            text += f"| {one.name} | {len(cells[0])} | {' | '.join(figures)} |\n"
        text += "\n"
    return text + tuned(sets, runs)


def tuned(
    sets: Sequence[Set],
    runs: Mapping[tuple[str, bool], dict[Route, dict[str, list[Found]]]],
) -> str:
    """On the tuning part: gains of hybrid over the better route, of both measures and all sets."""
    rows = []
    better = {
        one.name: np.max([scores(one, alone(runs[one.name, True][route])) for route in Route], 0)
        for one in sets
    }
    for fusion in candidates():
        values = {one.name: scores(one, hybrid(runs[one.name, True], fusion)) for one in sets}
        gains = np.concatenate([values[name] - better[name] for name in values])
        rows.append((gains.min(), gains.mean(), named(fusion), values))
    rows.sort(key=lambda row: -row[0])
    text = "Fusion on the tuning part (nDCG@10 / MRR@10), best ten by the smallest gain:\n\n"
    text += "| fusion by | smallest gain | mean gain | "
    text += " | ".join(one.name for one in sets) + " |\n" + "|---" * (3 + len(sets)) + "|\n"
    for least, mean, name, values in rows[:10]:
        cells = " | ".join(f"{ndcg:.3f} / {mrr:.3f}" for ndcg, mrr in values.values())
        text += f"| {name} | {least:+.3f} | {mean:+.3f} | {cells} |\n"
    return text


def candidates() -> Iterable[Fusion]:
    for dense in (0.3, 0.4, 0.5, 0.6, 0.7):
        weights = {Route.DENSE: dense, Route.LEXICAL: round(1 - dense, 1)}
        yield Fusion(FusionMethod.SCORES, weights, DEPTH)
        for k in (1.0, 5.0, 10.0, 20.0, 60.0):
            yield Fusion(FusionMethod.RANKS, weights, DEPTH, k)


def named(fusion: Fusion) -> str:
    k = f" (k {fusion.k:g})" if fusion.method is FusionMethod.RANKS else ""
    dense, lexical = (fusion.weights[route] for route in (Route.DENSE, Route.LEXICAL))
    return f"{fusion.method}{k}, dense {dense:g}, lexical {lexical:g}"


def write(tables: str) -> None:
    before, _, rest = PAGE.read_text().partition("<!-- measured -->")
    _, _, after = rest.partition("<!-- end -->")
    PAGE.write_text(f"{before}<!-- measured -->\n{tables}\n<!-- end -->{after}")


def show(what: str, done: int, total: int, started: float) -> None:
    rate = done / max(time.monotonic() - started, 1e-9)
    end = "\n" if done == total else ""
    sys.stderr.write(f"\r{what} {done} of {total}, {rate:.1f}/s {end}")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
