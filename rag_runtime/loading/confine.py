"""What a process that reads a file may never do again: open a socket, start a program or look into another process.

A filter of system calls (seccomp), which needs no privilege and cannot be taken off. Where the kernel has none, or
the processor is another one, there is nothing; a pod's policy limits the network then.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct

# https://www.kernel.org/doc/html/latest/userspace-api/seccomp_filter.html
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _FAIL, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER_AT, _ARCHITECTURE_AT = 0, 4
# From here on x86_64 has the same calls once more, under other numbers.
_X32 = 0x40000000

# In this order: socket, socketpair, io_uring_setup, execve, execveat, ptrace, process_vm_readv, process_vm_writev.
_REFUSED = {
    "x86_64": (0xC000003E, (41, 53, 425, 59, 322, 101, 310, 311)),
    "aarch64": (0xC00000B7, (198, 199, 425, 221, 281, 117, 270, 271)),
}


def confine() -> bool:
    """Whether the filter is in force from now on, for every thread that is started later too."""
    known = _REFUSED.get(platform.machine())
    if known is None:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    steps = b"".join(_filter(*known))
    code = ctypes.create_string_buffer(steps, len(steps))
    program = _Program(len(steps) // 8, ctypes.addressof(code))
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) == 0)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_void_p))


def _filter(architecture: int, refused: tuple[int, ...]) -> list[bytes]:
    """Calls of another architecture's numbers end the process: the numbers below mean others there."""
    steps = [
        _step(_LOAD, _ARCHITECTURE_AT),
        _step(_JUMP_IF_EQUAL, architecture, if_true=1),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER_AT),
        _step(_JUMP_IF_AT_LEAST, _X32, if_false=1),
        _step(_RETURN, _FAIL | errno.EPERM),
    ]
    for number in refused:
        steps += [_step(_JUMP_IF_EQUAL, number, if_false=1), _step(_RETURN, _FAIL | errno.EPERM)]
    return [*steps, _step(_RETURN, _ALLOW)]


def _step(code: int, value: int, *, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)
