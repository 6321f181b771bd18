"""The production configuration on a real server, with certificates made for the test."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import nats
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from gyre.ingestion.v1.events_pb2 import DocumentChunked
from gyre_client import operators
from gyre_local.ports import free_port
from gyre_provisioner.provision import Settings, provision
from gyre_runtime.access import connect_options
from gyre_runtime.bus import Bus, Delivery, Listeners, NotPublished, PermanentError
from gyre_runtime.events.letters import DeadLetter
from gyre_runtime.settings import RuntimeSettings
from nats.errors import NoServersError

CONFIGURATION = Path(__file__).parents[1] / "production.conf"
PATIENCE = 150.0


@dataclass(frozen=True)
class Authority:
    """Signs certificates into its folder."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def at(cls, folder: Path) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        authority = cls(folder, key, _certificate("authority", key, key, None))
        (folder / "ca.pem").write_bytes(
            authority.certificate.public_bytes(serialization.Encoding.PEM)
        )
        return authority

    def sign(self, name: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        signed = _certificate(name, key, self.key, self.certificate.subject)
        (self.folder / f"{name}.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        (self.folder / f"{name}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )


def _certificate(name, key, signer, issuer) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = [x509.DNSName(f"{name}.gyre"), x509.DNSName("localhost")]
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .sign(signer, hashes.SHA256())
    )


@dataclass(frozen=True)
class Production:
    url: str
    authority: Authority

    def settings(self, name: str, kind: type[RuntimeSettings] = RuntimeSettings):
        self.authority.sign(name)
        folder = self.authority.folder
        return kind(
            nats_url=self.url,
            nats_tls_ca_file=folder / "ca.pem",
            nats_tls_cert_file=folder / f"{name}.pem",
            nats_tls_key_file=folder / f"{name}.key",
        )


@pytest.fixture
def production(tmp_path: Path) -> Iterator[Production]:
    authority = Authority.at(tmp_path)
    authority.sign("server")
    port = free_port()
    environment = {
        "GYRE_NATS_NAME": "n1",
        "GYRE_NATS_LISTEN": f"127.0.0.1:{port}",
        "GYRE_NATS_MONITOR": f"127.0.0.1:{free_port()}",
        "GYRE_NATS_STORE": str(tmp_path / "streams"),
        "GYRE_NATS_MAX_FILE_STORE": str(1024**3),
        "GYRE_NATS_JS_KEY": "k" * 40,
        "GYRE_NATS_CERT": str(tmp_path / "server.pem"),
        "GYRE_NATS_KEY": str(tmp_path / "server.key"),
        "GYRE_NATS_CA": str(tmp_path / "ca.pem"),
    }
    binary = Path(sys.executable).parent / "nats-server"
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [binary, "-c", CONFIGURATION], env=os.environ | environment, stderr=log
        )
    try:
        yield Production(f"tls://localhost:{port}", authority)
    finally:
        process.terminate()
        process.wait(20)


async def provisioned(production: Production) -> None:
    settings = production.settings("provisioner", Settings)
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                assert await provision(settings, ["bus"], check=False, apply=False) == []
                return
            except (OSError, NoServersError):
                await asyncio.sleep(0.2)


async def test_services_do_their_work_with_their_own_rights_alone(production):
    await provisioned(production)
    heard: list[int] = []
    listeners = Listeners("embedding")

    @listeners.on(DocumentChunked)
    async def on_document_chunked(event, delivery):
        heard.append(event.part_index)

    embedding = Bus(production.settings("embedding"), "embedding")
    embedding.include(listeners)
    ingestion = Bus(production.settings("ingestion"), "ingestion")
    await embedding.start()
    await ingestion.start()
    event = DocumentChunked(part_index=5)
    await ingestion.publish(event, tenant="acme", entity_id="d", cause="c")
    store = await ingestion.jetstream.object_store("gyre-documents")
    await store.put("a", b"original")
    assert (await store.get("a")).data == b"original"
    with pytest.raises(NotPublished):  # an event of another service
        await embedding.publish(event, tenant="acme", entity_id="d", cause="forged")
    async with asyncio.timeout(PATIENCE):
        while not heard:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await embedding.stop()
    await ingestion.stop()
    assert heard == [5]


async def test_a_service_can_neither_read_others_deliveries_nor_acknowledge_them(production):
    await provisioned(production)
    refused: list[str] = []

    async def note(error: Exception) -> None:
        refused.append(str(error).lower())

    options = connect_options(production.settings("inference"))
    client = await nats.connect(
        production.url, error_cb=note, inbox_prefix="_INBOX_inference", **options
    )
    for subject in (">", "_INBOX_embedding.>", "gyre.>"):
        await client.subscribe(subject)
    for subject in (
        "$JS.ACK.INGESTION.embedding-document_chunked.1.1.1.1.1",
        "$JS.API.STREAM.DELETE.INGESTION",
        "gyre.ingestion.v1.document_deleted.acme",
    ):
        await client.publish(subject, b"")
    await client.flush()
    async with asyncio.timeout(PATIENCE):
        while len(refused) < 6:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await client.close()
    assert all("permissions violation" in text for text in refused)


async def test_an_operator_sees_every_consumer_and_brings_a_dead_letter_back(
    production, monkeypatch
):
    await provisioned(production)
    settings = production.settings("operator")
    for name in ("url", "tls_ca_file", "tls_cert_file", "tls_key_file"):
        monkeypatch.setenv(f"GYRE_NATS_{name.upper()}", str(getattr(settings, f"nats_{name}")))
    async with refusing(production), operators.connected() as bus:
        (letter,) = await _first_letter(bus)
        lags = await bus.consumers()
        subject = await bus.redrive(letter.sequence)
        left = await bus.dead_letter_count()
    assert {one.consumer for one in lags} >= {"embedding-document_chunked"}
    assert letter.reason == "unreadable"
    assert subject == "gyre.ingestion.v1.document_chunked.acme"
    assert left == 0


@asynccontextmanager
async def refusing(production: Production) -> AsyncIterator[None]:
    """An embedding service that sets one event aside, and takes it when it comes again."""
    heard: list[Delivery] = []
    listeners = Listeners("embedding")

    @listeners.on(DocumentChunked)
    async def on_document_chunked(event, delivery):
        heard.append(delivery)
        if len(heard) == 1:
            raise PermanentError("unreadable")

    embedding = Bus(production.settings("embedding"), "embedding")
    embedding.include(listeners)
    ingestion = Bus(production.settings("ingestion"), "ingestion")
    await embedding.start()
    await ingestion.start()
    await ingestion.publish(DocumentChunked(), tenant="acme", entity_id="d", cause="c")
    yield
    await ingestion.stop()
    await embedding.stop()


async def _first_letter(bus: operators.Bus) -> list[DeadLetter]:
    async with asyncio.timeout(PATIENCE):
        while not (letters := await bus.dead_letters(10)):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return letters


async def test_without_a_certificate_nobody_comes_in(production):
    await provisioned(production)
    settings = production.settings("embedding").model_copy(update={"nats_tls_cert_file": None})
    with pytest.raises((OSError, NoServersError)):
        await nats.connect(production.url, allow_reconnect=False, **connect_options(settings))
