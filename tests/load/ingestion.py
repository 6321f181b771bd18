"""Text to searchable, tokens a second: the running platform against LangChain + FAISS.

The platform's arm uploads Markdown over gRPC and ends when every document is reported indexed:
stored durably, parsed, personal data masked, near-duplicates looked for, cut, embedded, indexed in
Milvus for dense and lexical search, every event durable. The peer's arm is given the very chunks
that ours makes of the text, parsed and cut beforehand at no cost to it, embeds them with the same
model's weights by sentence-transformers and puts them into FAISS in memory. Tokens are those of the
text, counted once. The arms take turns. Another figure, without a goal, lets LangChain cut the text
in its own way: it fills chunks across headings, and makes fewer. Before that, the parser alone:
documents a second through its two processes.

    python -m tests.load.ingestion [--tokens 60000] [--rounds 3]
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from gyre_client import Document, DocumentState, Gyre
from gyre_ingestion.adapters.parsing.parser import SubprocessParser
from gyre_ingestion.adapters.tokenizers import FileTokenizer
from gyre_ingestion.domain.chunking import cut
from gyre_ingestion.domain.limits import Limits

from tests.load import peer_programs
from tests.load.corpus import MODEL, Counter, documents
from tests.load.peers import Peer
from tests.load.processes import resident
from tests.load.report import Report, parser, progress
from tests.platform.documents import ingest
from tests.platform.running import RunningPlatform

QUERY = "How do I apply for benefits?"
TOKENIZER = "tokenizer.json"


def main() -> None:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--tokens", type=int, default=60_000)
    arguments.add_argument("--rounds", type=int, default=3)
    options = arguments.parse_args()
    report = Report("ingestion")
    with tempfile.TemporaryDirectory() as folder:
        platform = RunningPlatform(Path(folder))
        try:
            platform.start()
            texts = documents(options.tokens)
            report_parsing(report, asyncio.run(parsed_per_second(texts)))
            with Peer(Path(peer_programs.__file__), "langchain", str(MODEL)) as peer:
                asyncio.run(measure(platform, peer, texts, options.rounds, report))
        finally:
            platform.stop()
    report.save()


async def measure(
    platform: RunningPlatform, peer: Peer, texts: Mapping[str, str], rounds: int, report: Report
) -> None:
    count = Counter()
    tokens = {name: count(text) for name, text in texts.items()}
    total = sum(tokens.values())
    report.notes.append(f"{len(texts)} documents, {total} tokens, {rounds} rounds")
    chunks = await chunks_of(texts)
    report.notes.append(f"the peer embeds {len(chunks)} chunks, cut as ours")
    same = {"texts": chunks, "split": False, "query": QUERY}
    own = {"texts": list(texts.values()), "split": True, "query": QUERY}
    rates: dict[str, list[float]] = {"ours": [], "same": [], "own": []}
    async with platform.client() as gyre:
        await timed(gyre, dict(list(texts.items())[:5]), "warm")
        for number in range(rounds):
            seconds, settled = await timed(gyre, texts, f"round-{number}")
            rates["ours"].append(told(settled, tokens, report) / seconds)
            for arm, question in (("same", same), ("own", own)):
                answer = await asyncio.to_thread(peer.ask, question)
                rates[arm].append(total / answer["seconds"])
            progress("rounds", number + 1, rounds)
        hits = await gyre.search(QUERY, collection="round-0")
        report.notes.append(f"the question afterwards finds {len(hits)} passages")
    report.notes.append(f"LangChain's own cut makes {answer['chunks']} chunks")
    report_rates(report, rates)
    report_memory(report, platform)


def report_rates(report: Report, rates: Mapping[str, list[float]]) -> None:
    ours, same, own = (statistics.median(rates[arm]) for arm in ("ours", "same", "own"))
    what = "text to searchable, LangChain + FAISS"
    report.at_least(f"{what} of the same chunks", ours, "tokens/s", times=2, peer=same)
    report.add(f"{what} of its own chunks", ours, "tokens/s", peer=own)


def report_memory(report: Report, platform: RunningPlatform) -> None:
    for name in ("ingestion", "embedding", "retrieval", "inference"):
        process = platform.look(name).process
        assert process is not None
        report.add(f"memory of {name} after it", resident(process.pid), "MB")


async def chunks_of(texts: Mapping[str, str]) -> list[str]:
    """What the service's worker makes of the texts; personal data stay in them."""
    parser, tokenizer = SubprocessParser(Limits(), workers=2), FileTokenizer(MODEL / TOKENIZER)
    try:
        files = ((text.encode(), name) for name, text in texts.items())
        found = await asyncio.gather(*(parser.parse(*file) for file in files))
    finally:
        await parser.close()
    return [chunk.text for parsed in found for chunk in cut(parsed, tokenizer)]


async def parsed_per_second(texts: Mapping[str, str]) -> float:
    """Small documents a second through two processes, as the service parses them."""
    parser = SubprocessParser(Limits(), workers=2)
    files = [(text.encode(), name) for name, text in texts.items()]
    try:
        await asyncio.gather(*(parser.parse(*file) for file in files[:4]))
        started = time.perf_counter()
        await asyncio.gather(*(parser.parse(*file) for file in files))
        return len(files) / (time.perf_counter() - started)
    finally:
        await parser.close()


def report_parsing(report: Report, rate: float) -> None:
    goal = "at least 100 documents/s"
    report.add("parsing of small documents", rate, "documents/s", goal=goal, reached=rate >= 100)


async def timed(
    gyre: Gyre, texts: Mapping[str, str], collection: str
) -> tuple[float, list[Document]]:
    """Seconds from the first upload until every document is indexed or rejected."""
    contents = {name: text.encode() for name, text in texts.items()}
    started = time.perf_counter()
    settled = await ingest(gyre, contents, collection)
    return time.perf_counter() - started, settled


def told(settled: list[Document], tokens: Mapping[str, int], report: Report) -> int:
    """Tokens that became searchable; says what was rejected."""
    indexed = [one for one in settled if one.state is DocumentState.INDEXED]
    lost = (one for one in settled if one.state is not DocumentState.INDEXED)
    rejected = [f"{one.source_uri}: {one.rejection_reason}" for one in lost]
    chunks = sum(one.chunk_count for one in indexed)
    note = f"{len(indexed)} indexed in {chunks} chunks; rejected: {rejected or 'none'}"
    if note not in report.notes:
        report.notes.append(note)
    return sum(tokens[one.source_uri] for one in indexed)


if __name__ == "__main__":
    main()
