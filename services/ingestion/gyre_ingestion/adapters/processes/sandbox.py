"""Takes rights away from the process that reads strangers' files (Linux; elsewhere only limits)."""

import ctypes
import platform
import resource
import signal
import struct
import sys

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 1, 38, 22, 2
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050001  # 1 is EPERM
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
# By audit architecture: socket, connect, bind, listen, execve, execveat, ptrace, io_uring_setup,
# process_vm_readv, process_vm_writev, kill.
_REFUSED_CALLS = {
    "x86_64": (0xC000003E, (41, 42, 49, 50, 59, 322, 101, 425, 310, 311, 62)),
    "aarch64": (0xC00000B7, (198, 203, 200, 201, 221, 281, 117, 425, 270, 271, 129)),
}
_X32 = 0x40000000
_WRITABLE_BYTES = 16_000_000
_OPEN_FILES = 128


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def confine(memory_bytes: int) -> bool:
    """No network, no programs, bounded memory and files. Irrevocable; call it before any thread.

    Returns whether the kernel took the network away; limits hold in any case.
    """
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_WRITABLE_BYTES, _WRITABLE_BYTES))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return sys.platform == "linux" and _refuse_calls()


def allow_cpu(seconds: int) -> None:
    """Lets this process run `seconds` of CPU from now; the kernel ends it when they are used up."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = int(usage.ru_utime + usage.ru_stime) + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (used + seconds, hard))


def _refuse_calls() -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    known = _REFUSED_CALLS.get(platform.machine())
    if known is None or libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return False
    code = _filter(*known)
    program = _Program(len(code) // 8, code)
    answer = libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0)
    return int(answer) == 0


def _filter(architecture: int, calls: tuple[int, ...]) -> bytes:
    """A classic BPF program: EPERM for these calls and for foreign architectures."""
    refuse = len(calls) + 2  # distance from the first comparison of call numbers
    steps = [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 0, refuse + 1, architecture),
        (_LOAD, 0, 0, 0),
        (_AT_LEAST, refuse - 1, 0, _X32),
        *((_EQUAL, refuse - 2 - place, 0, call) for place, call in enumerate(calls)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    return b"".join(struct.pack("HBBI", *step) for step in steps)
