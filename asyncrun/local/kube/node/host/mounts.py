"""
What a container sees of the file system: this machine's, plus its volumes, wherever they are to be.

A mount point that does not exist on this machine is made without touching the machine: its parent directory is covered
by a tmpfs into which everything that the parent has is bound. The root itself is always such a tmpfs.
"""

# ruff: noqa: PTH101, PTH102, PTH112, PTH114, PTH115, PTH116, PTH120, PTH123, PTH208, PTH211
# Paths are strings here: this runs once for every container.

from __future__ import annotations

import contextlib
import errno
import os
from dataclasses import dataclass

from . import linux

_DEVICES = (
    "null",
    "zero",
    "full",
    "random",
    "urandom",
    "tty",
    "ptmx",
    "pts",
    "shm",
    "mqueue",
    "net",
    "fuse",
    "dri",
    "kfd",
)
_LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}


@dataclass(frozen=True)
class Mount:
    """
    One volume in one container.

    :param source: file or directory of this machine.
    :param target: absolute path in the container.
    :param ours: mount points may be created in it: it is a volume of ours, not a directory of this machine.
    """

    source: str
    target: str
    read_only: bool = False
    ours: bool = True


def separate_processes() -> None:
    """
    Give the next child, and what comes of it, process numbers of their own, and a user namespace where that needs one.

    A container must not see the processes of this machine: what is meant for a container's only shell (upstream's
    ``kill -2 $(pgrep -u $(id -u) -f sh)``) would end its user's session.

    :raises OSError: this platform does not let us.
    """
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        with contextlib.suppress(PermissionError):
            linux.unshare(linux.CLONE_NEWPID)
            return
    linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWPID)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def separate_mounts() -> None:
    """
    Get mounts of one's own; after `separate_processes` in the parent.

    :raises OSError: this platform does not let us.
    """
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)


class Tree:
    """
    The new root while it is put together, at ``root``: an empty directory of this machine that is covered by a tmpfs.

    `separate_mounts` comes first, `enter` last.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        # Of each mount: where it comes from, and whether mount points may be created in it.
        self._mounts: dict[str, tuple[str, bool]] = {}
        self._cover(root)
        linux.mount("none", root, None, linux.MS_UNBINDABLE)  # else a bind of its own parent would contain it
        self._mounts[root] = ("/", True)
        self._fill(root, "/")
        # Not everywhere can this be mounted: then /proc shows the machine's processes, which still cannot be reached.
        with contextlib.suppress(OSError):
            linux.mount("proc", f"{root}/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)

    def add(self, mount: Mount) -> None:
        """
        Make it visible.

        :raises OSError: it cannot be there.
        """
        place = self.place(mount.target, directory=os.path.isdir(mount.source))
        linux.bind(mount.source, place)
        if mount.read_only:
            linux.make_read_only(place)
        self._mounts[place] = (mount.source, mount.ours)

    def place(self, target: str, *, directory: bool) -> str:
        """Where ``target`` is at the moment; it is created if it is not there."""
        at = self._root
        parts = [part for part in os.path.realpath(target).split("/") if part]
        for number, part in enumerate(parts, 1):
            below = f"{at}/{part}"
            if not os.path.lexists(below):
                if not self._mount_of(at)[1]:
                    self._shadow(at)
                if directory or number < len(parts):
                    os.mkdir(below)
                else:
                    os.close(os.open(below, os.O_CREAT | os.O_WRONLY, 0o666))
            at = below
        if os.path.isdir(at) != directory:
            number = errno.EISDIR if not directory else errno.ENOTDIR
            raise OSError(number, os.strerror(number), target)
        return at

    def enter(self, directory: str) -> None:
        """Make it the root, and ``directory`` the working directory."""
        linux.change_root(self._root)
        os.chdir(directory)

    def _mount_of(self, path: str) -> tuple[str, bool]:
        while path not in self._mounts:
            path = os.path.dirname(path)
        return self._mounts[path]

    def _source(self, path: str) -> str:
        rest = ""
        while path not in self._mounts:
            path, part = os.path.split(path)
            rest = f"/{part}{rest}"
        return self._mounts[path][0].rstrip("/") + rest

    def _cover(self, path: str) -> None:
        linux.mount("tmpfs", path, "tmpfs", linux.MS_NOSUID, "mode=755")

    def _shadow(self, path: str) -> None:
        """Cover a directory of this machine by one of ours with the same contents."""
        source = self._source(path)
        mode = os.stat(path).st_mode & 0o7777
        self._cover(path)
        os.chmod(path, mode)
        self._mounts[path] = (source, True)
        if source == "/dev":
            self._devices(path)
        else:
            self._fill(path, source)

    def _fill(self, path: str, source: str) -> None:
        try:
            entries = list(os.scandir(source))
        except PermissionError:
            return  # of another user: nothing of it could have been seen
        for entry in entries:
            self._mirror(entry.path, f"{path}/{entry.name}")

    def _devices(self, path: str) -> None:
        names = [name for name in os.listdir("/dev") if name in _DEVICES or name.startswith("nvidia")]
        for name in names:
            self._mirror(f"/dev/{name}", f"{path}/{name}")
        for name, link in _LINKS.items():
            os.symlink(link, f"{path}/{name}")

    def _mirror(self, source: str, target: str) -> None:
        if os.path.islink(source):
            os.symlink(os.readlink(source), target)
            return
        if os.path.isdir(source):
            os.mkdir(target)
        else:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o666))
        try:
            linux.bind(source, target)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EACCES, errno.EINVAL):
                raise
            return  # gone meanwhile, or of another user; or a root that is being put together by a neighbour
        self._mounts[target] = (source, False)
