"""HTTP tools on a real server: what may be called, what is sent, what is refused."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from gyre_inference.adapters.addresses import Allowed
from gyre_inference.adapters.http_tools import HttpxTools
from gyre_inference.domain.faults import DeadlinePassed, Fault, InvalidRequest, Unavailable
from gyre_inference.ports import HttpCall
from pydantic import SecretStr


@dataclass
class Tool:
    """A server that answers by path and keeps what it was sent."""

    port: int = 0
    heard: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    def call(self, path: str, **changes: Any) -> HttpCall:
        url = f"http://tools.example:{self.port}{path}"
        return replace(HttpCall("POST", url, {}, {"a": 1}, 5.0, "run/step"), **changes)


@pytest.fixture
def tool() -> Iterator[Tool]:
    known = Tool()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            known.heard.append((self.command, self.path, dict(self.headers), body))
            if self.path == "/slow":
                time.sleep(1)
            status = int(self.path[1:]) if self.path[1:].isdecimal() else 200
            told = b"x" * 2048 if self.path == "/much" else json.dumps({"got": "it"}).encode()
            kind = "text/plain" if self.path == "/text" else "application/json"
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(told)))
            if status == 302:
                self.send_header("location", "http://169.254.169.254/")
            self.end_headers()
            self.wfile.write(told)

        do_GET = do_POST  # noqa: N815 - as the library wants it

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    known.port = server.server_address[1]
    Thread(target=server.serve_forever, daemon=True).start()
    yield known
    server.shutdown()
    server.server_close()


async def here(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


def tools(
    *, private: bool = True, hosts: frozenset[str] = frozenset({"tools.example"})
) -> HttpxTools:
    secrets = {"tools.example": {"X-Key": SecretStr("hidden")}}
    return HttpxTools(Allowed(hosts, private, here), secrets, most=1024)


async def test_a_tool_is_called_and_its_answer_read(tool: Tool) -> None:
    said = await tools().call(tool.call("/lookup", headers={"X-Team": "help"}))
    assert said == {"status": 200, "body": {"got": "it"}}
    ((method, path, headers, body),) = tool.heard
    assert (method, path, json.loads(body)) == ("POST", "/lookup", {"a": 1})
    sent = {name.lower(): value for name, value in headers.items()}
    assert sent["host"] == f"tools.example:{tool.port}"
    assert (sent["x-team"], sent["x-key"]) == ("help", "hidden")
    assert sent["idempotency-key"] == "run/step"


async def test_what_is_no_json_is_text_and_a_refusal_is_told(tool: Tool) -> None:
    assert (await tools().call(tool.call("/text")))["body"] == '{"got": "it"}'
    assert (await tools().call(tool.call("/404")))["status"] == 404


async def test_a_redirect_is_told_and_not_followed(tool: Tool) -> None:
    assert (await tools().call(tool.call("/302")))["status"] == 302
    assert len(tool.heard) == 1


async def test_a_private_address_is_refused_unless_it_is_allowed(tool: Tool) -> None:
    with pytest.raises(InvalidRequest, match="private network"):
        await tools(private=False).call(tool.call("/lookup"))
    assert tool.heard == []


@pytest.mark.parametrize(
    "url",
    [
        "http://other.example/",
        "http://tools.example.evil.example/",
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://user:word@tools.example/",
        "file:///etc/passwd",
        "ftp://tools.example/",
        "nonsense",
        "",
    ],
)
async def test_an_address_that_is_not_allowed_is_refused(tool: Tool, url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await tools().call(tool.call("/", url=url))
    assert list(refused.value.violations) == ["url"]


async def test_a_host_below_an_allowed_one_may_be_called(tool: Tool) -> None:
    below = tool.call("/x", url=f"http://a.tools.example:{tool.port}/x")
    with pytest.raises(InvalidRequest):
        await tools().call(below)
    allowed = tools(hosts=frozenset({"*.tools.example"}))
    assert (await allowed.call(below))["status"] == 200


async def test_nothing_may_be_called_where_no_host_is_set(tool: Tool) -> None:
    with pytest.raises(InvalidRequest, match="GYRE_CHAIN_HTTP_HOSTS"):
        await tools(hosts=frozenset()).call(tool.call("/x"))


@pytest.mark.parametrize(
    ("path", "changes", "fault"),
    [
        ("/503", {}, Unavailable),
        ("/much", {}, Unavailable),
        ("/slow", {"seconds": 0.05}, DeadlinePassed),
        ("/x", {"method": "TRACE"}, InvalidRequest),
        ("/x", {"headers": {"Host": "evil"}}, InvalidRequest),
        ("/x", {"headers": {"X": "a\r\nEvil: b"}}, InvalidRequest),
    ],
)
async def test_what_goes_wrong_is_a_fault(
    tool: Tool, path: str, changes: dict[str, Any], fault: type[Fault]
) -> None:
    with pytest.raises(fault):
        await tools().call(tool.call(path, **changes))


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(Unavailable, match=r"tools\.example"):
        await tools().call(Tool(port=1).call("/x"))
