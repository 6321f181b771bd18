"""How parent and worker talk over pipes: frames behind their length, never pickles."""

import struct

LENGTH = struct.Struct("!Q")


def frame(body: bytes) -> bytes:
    """The body behind its length."""
    return LENGTH.pack(len(body)) + body
