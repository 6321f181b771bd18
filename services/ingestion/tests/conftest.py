from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from gyre_ingestion.adapters.memory import MemoryContentStore, MemoryDocuments
from gyre_ingestion.adapters.memory_parsing import MailRedactor, PlainParser, WordTokenizer
from gyre_ingestion.domain.documents import Document, RevisionName
from gyre_ingestion.domain.facts import Fact, Received
from gyre_ingestion.domain.personal_data import PersonalDataPolicy
from gyre_ingestion.ports import Documents
from gyre_ingestion.use_cases.browse import Browse
from gyre_ingestion.use_cases.follow import Follow
from gyre_ingestion.use_cases.manage import Manage
from gyre_ingestion.use_cases.process import Cutting, Outcome, Process
from gyre_ingestion.use_cases.succession import Departures
from gyre_ingestion.use_cases.sweep import Sweep
from gyre_ingestion.use_cases.upload import Header, Upload, Uploaded
from gyre_ingestion.use_cases.watch import Watch

FactT = TypeVar("FactT", bound=Fact)

_REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def tokenizer_file() -> Path:
    """The embedding model's tokenizer, where the model is there."""
    file = _REPOSITORY / "var/models/all-minilm-l6-v2/tokenizer.json"
    if not file.is_file():
        pytest.skip(f"{file} is absent: provision the embedding model first")
    return file


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data that lies beside the repository."""
    folder = _REPOSITORY.parent / "shared/data/dev"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: these tests read real data that is not in the repository")
    return folder


class Story:
    """Ingestion on its twins. Time stands still unless `passes` moves it; `work` is the worker."""

    def __init__(self, documents: Documents | None = None) -> None:
        self.now = datetime(2026, 1, 5, 12, tzinfo=UTC)
        self.memory = MemoryDocuments()
        self.documents = documents or self.memory
        self.contents = MemoryContentStore(self.clock)
        mask = PersonalDataPolicy.MASK
        self.uploads = Upload(
            self.documents, self.contents, self.clock, max_bytes=4096, default_policy=mask
        )
        twins = (PlainParser(), MailRedactor(), WordTokenizer())
        self.process = Process(
            self.documents, self.contents, *twins, self.clock, Cutting(32, 1, 2, 0.8)
        )
        self.follow = Follow(self.documents, self.clock)
        self.manage = Manage(self.documents, self.clock, mask)
        self.browse = Browse(self.documents, mask)
        self.watch = Watch(self.documents, poll_seconds=0.05)
        self.departures = Departures(self.documents, self.clock, timedelta(minutes=1))
        self.sweep = Sweep(self.documents, self.contents, self.clock, timedelta(minutes=10))

    def clock(self) -> datetime:
        return self.now

    def passes(self, **duration: float) -> None:
        self.now += timedelta(**duration)

    async def upload(
        self, uri: str, text: str | bytes, tenant: str = "acme", collection: str = "", **header: Any
    ) -> Uploaded:
        data = text.encode() if isinstance(text, str) else text
        return await self.uploads.upload(tenant, Header(collection, uri, **header), pieces(data))

    async def work(self, received: Received) -> Outcome:
        document = received.document
        name = RevisionName(
            document.document_id, document.collection, document.revision, document.attempt
        )
        return await self.process.process(document.tenant, name)

    async def work_all(self) -> None:
        """Handles all that was received, and what that leads to."""
        done = 0
        while done < len(self.memory.said):
            fact = self.memory.said[done]
            done += 1
            if isinstance(fact, Received):
                await self.work(fact)

    async def stored(self, uri: str, text: str | bytes, **given: Any) -> Document:
        """Uploads and works until nothing is left to do; the document afterwards."""
        uploaded = await self.upload(uri, text, **given)
        await self.work_all()
        return await self.see(uploaded.document)

    async def see(self, document: Document) -> Document:
        found = await self.documents.get(document.tenant, document.document_id)
        assert found is not None
        return found

    def said(self, kind: type[FactT]) -> list[FactT]:
        return [fact for fact in self.memory.said if isinstance(fact, kind)]


async def pieces(data: bytes, size: int = 100) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.fixture
def story() -> Story:
    return Story()


@pytest.fixture(scope="session")
def new_story() -> Callable[[], Story]:
    """For properties, which need a fresh one per example."""
    return Story
