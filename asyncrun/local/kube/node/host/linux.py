"""The system calls that Python does not offer. Where the platform has none of them, they raise ``OSError``."""

from __future__ import annotations

import ctypes
import errno
import os
import sys

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_NOATIME = 0x400
MS_NODIRATIME = 0x800
MS_BIND = 0x1000
MS_REC = 0x4000
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_RELATIME = 1 << 21

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000

_MNT_DETACH = 2
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "ppc64le": 203, "s390x": 217}

_ST_RELATIME = 0x1000
_KEPT = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME

# Loaded before the first fork, so that no supervisor has to.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def _c() -> ctypes.CDLL:
    if _libc is None:
        raise OSError(errno.ENOSYS, "not available on this platform")
    return _libc


def die_with_parent(signal: int) -> None:
    """Get ``signal`` when the parent ends. Does nothing where there is no such thing."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal, 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends. Does nothing where there is no such thing."""
    if _libc is not None:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def unshare(flags: int) -> None:
    """unshare(2)."""
    _checked(_c().unshare(flags), "unshare")


def setns(fd: int, flag: int) -> None:
    """setns(2)."""
    _checked(_c().setns(fd, flag), "setns")


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """mount(2)."""
    arguments = [one.encode(errors="surrogateescape") if one is not None else None for one in (source, target, kind)]
    text = data.encode() if data is not None else None
    _checked(_c().mount(*arguments, ctypes.c_ulong(flags), text), f"mount {target}")


def bind(source: str, target: str) -> None:
    """Make ``source`` visible at ``target``, with what is mounted below it."""
    mount(source, target, None, MS_BIND | MS_REC)


def make_read_only(target: str) -> None:
    """Of a bind mount. The other flags are kept: without them an unprivileged user is refused."""
    has = os.statvfs(target).f_flag
    kept = (has & _KEPT) | (MS_RELATIME if has & _ST_RELATIME else 0)
    mount("none", target, None, MS_REMOUNT | MS_BIND | MS_RDONLY | kept)


def change_root(root: str) -> None:
    """Make ``root``, which is a mount, the root directory, and the former one unreachable."""
    number = _PIVOT_ROOT.get(os.uname().machine)
    os.chdir(root)
    if number is None or _c().syscall(ctypes.c_long(number), b".", b".") != 0:
        os.chroot(".")  # the former root is an initramfs, which cannot be pivoted away from
    else:
        _checked(_c().umount2(b".", _MNT_DETACH), "umount2")
    os.chdir("/")
