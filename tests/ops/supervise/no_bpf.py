#!/usr/bin/python3
"""Executes its arguments where setsockopt(SO_ATTACH_REUSEPORT_CBPF) fails with ENOPROTOOPT."""
import ctypes, os, platform, struct, sys

# seccomp classic BPF: architecture and system call are not told apart further than the test needs.
NR_SETSOCKOPT = {"x86_64": 54, "aarch64": 208}[platform.machine()]
ARGS2 = 16 + 8 * 2  # offset of the third argument (optname), low word
ERRNO, ALLOW, ENOPROTOOPT = 0x00050000, 0x7FFF0000, 92
program = [
    (0x20, 0, 0, 0), (0x15, 0, 3, NR_SETSOCKOPT), (0x20, 0, 0, ARGS2), (0x15, 0, 1, 51),
    (0x06, 0, 0, ERRNO | ENOPROTOOPT), (0x06, 0, 0, ALLOW),
]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *i) for i in program))
fprog = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
if libc.prctl(22, 2, fprog, 0, 0) != 0:  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
    sys.exit("no seccomp here")
os.execvp(sys.argv[1], sys.argv[1:])
