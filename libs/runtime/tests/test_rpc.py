"""The door of RPCs, over real gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from google.protobuf import struct_pb2
from google.protobuf.descriptor import ServiceDescriptor
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from gyre_runtime.failures import Overloaded
from gyre_runtime.identity import current_principal
from gyre_runtime.rpc import RpcFault, RpcServer, channel
from gyre_runtime.rpc.call import current_call
from gyre_runtime.settings import RuntimeSettings
from pydantic import ValidationError

Text = struct_pb2.Value
KINDS = ("UnaryUnary", "UnaryStream", "StreamUnary", "StreamStream")
READER = {"tenant": "acme", "principal": "ann", "roles": ["reader"]}
KEYS = {"reader-key": READER, "other-key": {"tenant": "other", "principal": "bob", "roles": []}}
AS_READER = [("authorization", "Bearer reader-key")]


class Echo:
    """Answers `who` by the caller; does what it is told otherwise. `began`: calls so far."""

    began = 0

    async def act(self, request: Text, context) -> str:
        match request.string_value:
            case "who":
                return f"{current_principal().tenant}/{current_principal().name}"
            case "crash":
                raise ValueError("password=hunter2")
            case "invalid":
                raise RpcFault(
                    grpc.StatusCode.INVALID_ARGUMENT, "bad", violations={"top_k": "at most 100"}
                )
            case "overload":
                raise Overloaded("outbox", "the outbox is full", retry_after=2.5)
            case "own status":
                await context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")
            case "sleep":
                Echo.began += 1
                await asyncio.sleep(30)
            case "remaining":
                return str(current_call.get().remaining)
        return request.string_value

    async def unary_unary(self, request, context):
        return Text(string_value=await self.act(request, context))

    async def unary_stream(self, request, context) -> AsyncIterator[Text]:
        yield Text(string_value="first")
        yield Text(string_value=await self.act(request, context))

    async def stream_unary(self, requests, context):
        Echo.began += 1
        said = [await self.act(request, context) async for request in requests]
        return Text(string_value=said[-1])

    async def stream_stream(self, requests, context):
        async for request in requests:
            await context.write(Text(string_value=await self.act(request, context)))


def add_to_server(servicer: Echo, server: grpc.aio.Server) -> None:
    wire = {"request_deserializer": Text.FromString, "response_serializer": Text.SerializeToString}
    handlers = {
        "UnaryUnary": grpc.unary_unary_rpc_method_handler(servicer.unary_unary, **wire),
        "UnaryStream": grpc.unary_stream_rpc_method_handler(servicer.unary_stream, **wire),
        "StreamUnary": grpc.stream_unary_rpc_method_handler(servicer.stream_unary, **wire),
        "StreamStream": grpc.stream_stream_rpc_method_handler(servicer.stream_stream, **wire),
        "Closed": grpc.unary_unary_rpc_method_handler(servicer.unary_unary, **wire),
    }
    generic = grpc.method_handlers_generic_handler("test.Echo", handlers)
    server.add_generic_rpc_handlers((generic,))


def descriptor() -> ServiceDescriptor:
    methods = [SimpleNamespace(name=name) for name in (*KINDS, "Closed")]
    return SimpleNamespace(full_name="test.Echo", methods=methods)


@pytest.fixture
async def serve():
    servers: list[RpcServer] = []

    async def start(**settings) -> RpcServer:
        chosen = RuntimeSettings(**{"api_keys": KEYS, "stop_timeout": 5.0} | settings)
        server = RpcServer(chosen, service="echo")
        roles = {name: frozenset({"reader"}) for name in KINDS}
        server.add(add_to_server, Echo(), descriptor(), roles=roles)
        await server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        await server.stop()


async def call(server, kind, text, *, metadata=AS_READER, timeout=10, through=None) -> list[str]:
    """The replies, whatever the kind of method; raises grpc.aio.AioRpcError."""
    address = f"127.0.0.1:{server.port}"
    async with through or grpc.aio.insecure_channel(address) as wire:
        make = getattr(wire, "".join(f"_{c.lower()}" if c.isupper() else c for c in kind)[1:])
        method = make(f"/test.Echo/{kind}", Text.SerializeToString, Text.FromString)
        request = Text(string_value=text)
        request = request if kind.startswith("Unary") else iter([request])
        reply = method(request, metadata=metadata, timeout=timeout)
        if kind.endswith("Unary"):
            return [(await reply).string_value]
        return [each.string_value async for each in reply]


async def refusal(server, kind, text, **options) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call(server, kind, text, **options)
    return refused.value


def details(error: grpc.aio.AioRpcError, kind):
    trailer = dict(error.trailing_metadata())["grpc-status-details-bin"]
    for packed in status_pb2.Status.FromString(trailer).details:
        if packed.Is(kind.DESCRIPTOR):
            found = kind()
            packed.Unpack(found)
            return found
    return None


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_of_method_knows_its_caller(serve, kind):
    server = await serve()
    assert (await call(server, kind, "who"))[-1] == "acme/ann"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("metadata", [[], [("authorization", "Bearer wrong")]])
async def test_without_a_valid_credential_no_kind_of_method_is_served(serve, kind, metadata):
    error = await refusal(await serve(), kind, "who", metadata=metadata)
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("kind", KINDS)
async def test_a_caller_without_the_role_is_refused(serve, kind):
    error = await refusal(
        await serve(), kind, "who", metadata=[("authorization", "Bearer other-key")]
    )
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_method_without_roles_is_open_to_nobody_but_an_administrator(serve):
    server = await serve()
    wire = grpc.aio.insecure_channel(f"127.0.0.1:{server.port}")
    async with wire:
        method = wire.unary_unary("/test.Echo/Closed", Text.SerializeToString, Text.FromString)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await method(Text(string_value="who"), metadata=AS_READER, timeout=10)
        admin = [("authorization", "Bearer gyre-dev-key")]
        reply = await method(Text(string_value="who"), metadata=admin, timeout=10)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert reply.string_value == "demo/developer"


@pytest.mark.parametrize("kind", KINDS)
async def test_an_unforeseen_error_tells_the_caller_nothing_of_its_inside(serve, kind):
    error = await refusal(await serve(), kind, "crash")
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "hunter2" not in error.details()


@pytest.mark.parametrize("kind", KINDS)
async def test_field_violations_arrive_as_details(serve, kind):
    error = await refusal(await serve(), kind, "invalid")
    (violation,) = details(error, error_details_pb2.BadRequest).field_violations
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (violation.field, violation.description) == ("top_k", "at most 100")


async def test_overload_says_when_to_come_again(serve):
    error = await refusal(await serve(), "UnaryUnary", "overload")
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert details(error, error_details_pb2.RetryInfo).retry_delay.ToMilliseconds() == 2500
    assert details(error, error_details_pb2.QuotaFailure).violations[0].subject == "outbox"


async def test_a_status_that_the_servicer_chose_itself_is_kept(serve):
    error = await refusal(await serve(), "UnaryUnary", "own status")
    assert error.code() is grpc.StatusCode.NOT_FOUND


async def test_a_unary_call_without_a_deadline_is_refused_a_stream_is_not(serve):
    server = await serve()
    error = await refusal(server, "UnaryUnary", "who", timeout=None)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "deadline" in error.details()
    assert await call(server, "UnaryStream", "who", timeout=None) == ["first", "acme/ann"]


@pytest.mark.parametrize("kind", ["UnaryUnary", "UnaryStream"])
async def test_a_deadline_is_capped_by_the_server(serve, kind):
    server = await serve(grpc_unary_deadline=0.3, grpc_stream_deadline=0.3)
    error = await refusal(server, kind, "sleep", timeout=100)
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_one_tenant_over_its_rate_is_refused_and_another_is_served(serve):
    keys = KEYS | {"second": READER | {"tenant": "second"}}
    server = await serve(api_keys=keys, grpc_tenant_rate=1.0)
    for _ in range(2):
        await call(server, "UnaryUnary", "who")
    error = await refusal(server, "UnaryUnary", "who")
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert details(error, error_details_pb2.RetryInfo) is not None
    second = [("authorization", "Bearer second")]
    assert await call(server, "UnaryUnary", "who", metadata=second) == ["second/ann"]


async def test_more_calls_than_there_is_room_for_are_refused(serve, toolbox):
    server = await serve(grpc_concurrent_rpcs=2)
    before = Echo.began
    busy = [asyncio.create_task(call(server, "UnaryUnary", "sleep")) for _ in range(2)]
    await toolbox.eventually(lambda: Echo.began == before + 2)
    error = await refusal(server, "UnaryUnary", "who")
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    for task in busy:
        task.cancel()
    await asyncio.gather(*busy, return_exceptions=True)


async def test_a_call_made_while_serving_passes_on_who_asks_and_until_when(serve):
    inner = await serve()
    wire = channel(f"127.0.0.1:{inner.port}", inner._settings)
    seen: list[str] = []

    class Front(Echo):
        async def act(self, request, context) -> str:
            method = wire.unary_unary(
                "/test.Echo/UnaryUnary", Text.SerializeToString, Text.FromString
            )
            for text in ("who", "remaining"):
                seen.append((await method(Text(string_value=text))).string_value)
            return "done"

    outer = RpcServer(inner._settings, service="front")
    roles = {name: frozenset({"reader"}) for name in KINDS}
    outer.add(add_to_server, Front(), descriptor(), roles=roles)
    await outer.start()
    assert await call(outer, "UnaryUnary", "go", timeout=20) == ["done"]
    await outer.stop()
    await wire.close()
    assert seen[0] == "acme/ann"
    assert 0 < float(seen[1]) <= 20


async def test_health_is_open_and_a_stop_lets_calls_in_flight_end(serve, toolbox):
    server, before = await serve(), Echo.began
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as wire:
        health = health_pb2_grpc.HealthStub(wire)
        for name in ("", "test.Echo"):
            reply = await health.Check(health_pb2.HealthCheckRequest(service=name), timeout=10)
            assert reply.status == health_pb2.HealthCheckResponse.SERVING
        method = wire.stream_unary(
            "/test.Echo/StreamUnary", Text.SerializeToString, Text.FromString
        )

        async def slow() -> AsyncIterator[Text]:
            await asyncio.sleep(1)
            yield Text(string_value="late")

        reply = method(slow(), metadata=AS_READER, timeout=20)
        await toolbox.eventually(lambda: Echo.began == before + 1)
        stopping = asyncio.create_task(server.stop())
        assert (await reply).string_value == "late"
        await stopping


def test_roles_for_a_method_that_does_not_exist_are_an_error():
    server = RpcServer(RuntimeSettings(), service="echo")
    with pytest.raises(ValueError, match="Serach"):
        server.add(add_to_server, Echo(), descriptor(), roles={"Serach": frozenset()})


async def test_a_signed_token_is_a_credential_and_a_forged_one_is_not(serve):
    key = ed25519.Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    server = await serve(jwt_public_key=public.decode())
    claims = {"sub": "eve", "aud": "gyre", "exp": 4e9, "tenant": "acme", "roles": ["reader"]}
    forger = ed25519.Ed25519PrivateKey.generate()

    def bearer(claims: dict, signer) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {jwt.encode(claims, signer, algorithm='EdDSA')}")]

    assert await call(server, "UnaryUnary", "who", metadata=bearer(claims, key)) == ["acme/eve"]
    forgeries = [
        bearer(claims, forger),
        bearer(claims | {"exp": 1}, key),
        bearer(claims | {"aud": "other"}, key),
        bearer(claims | {"tenant": "a.b"}, key),
    ]
    for metadata in forgeries:
        error = await refusal(server, "UnaryUnary", "who", metadata=metadata)
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_the_development_key_is_refused_in_production(serve):
    server = await serve(env="production")
    metadata = [("authorization", "Bearer gyre-dev-key")]
    error = await refusal(server, "UnaryUnary", "who", metadata=metadata)
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    with pytest.raises(ValidationError, match="public"):
        RuntimeSettings(env="production", api_keys={"gyre-dev-key": READER})


async def test_a_key_may_be_configured_by_its_digest(serve):
    digest = "sha256:" + "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
    server = await serve(api_keys={digest: READER})
    metadata = [("authorization", "Bearer secret")]
    assert await call(server, "UnaryUnary", "who", metadata=metadata) == ["acme/ann"]
