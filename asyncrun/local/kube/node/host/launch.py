"""The moments between fork and exec of a container's first process."""

# ruff: noqa: PTH112, PTH113, PTH116, PTH118
# Paths are strings here: this runs once for every container.

from __future__ import annotations

import errno
import json
import os
import signal
from typing import Any, NoReturn

from . import linux, mounts


class CannotStart(Exception):
    """
    The program cannot be run; the text is what runc says (trace o_start_errors).

    :param kind: ``start``: it was created and could not be started; ``create``: not even that.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def become(spec: dict[str, Any], stdout: int, stderr: int, errors: int) -> NoReturn:
    """
    Turn this freshly forked process into the container's first one.

    :param spec: see `supervisor.Supervisor`.
    :param errors: descriptor that gets a JSON object if that fails, and is closed by the exec otherwise.
    """
    try:
        _become(spec, stdout, stderr)
    except CannotStart as error:
        os.write(errors, json.dumps({"failed": error.kind, "message": str(error)}).encode())
    except (OSError, ValueError) as error:  # a null byte in an argument is a ValueError
        os.write(errors, json.dumps({"failed": "create", "message": str(error)}).encode())
    finally:
        os._exit(127)


def _become(spec: dict[str, Any], stdout: int, stderr: int) -> NoReturn:
    os.setsid()
    linux.die_with_parent(signal.SIGKILL)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (stdout, 1), (stderr, 2)):
        os.dup2(source, target, inheritable=True)
    if spec["root"] is None:
        change_directory(spec["cwd"])
    else:
        _enter(spec)
    execute(spec)


def execute(spec: dict[str, Any]) -> NoReturn:
    """
    Become ``argv``, with ``env``.

    :raises CannotStart: that cannot be.
    """
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)  # Python ignores them, and an exec would keep that
    program = find_program(spec["argv"][0], spec["env"].get("PATH", os.defpath))
    try:
        os.execve(program, spec["argv"], spec["env"])
    except OSError as error:
        raise CannotStart("start", f"exec {program}: {_text(error)}") from None


def _enter(spec: dict[str, Any]) -> None:
    try:
        mounts.separate_mounts()
        tree = mounts.Tree(spec["root"])
    except OSError as error:
        raise CannotStart("create", f"this machine does not let us mount volumes for a container: {error}") from None
    for one in spec["mounts"]:
        try:
            tree.add(mounts.Mount(**one))
        except OSError as error:
            raise CannotStart("create", f"error mounting {one['source']!r} to {one['target']!r}: {error}") from None
    try:
        tree.place(spec["cwd"], directory=True)
    except OSError as error:
        raise CannotStart("start", f"mkdir {spec['cwd']}: {_text(error)}") from None
    tree.enter(spec["cwd"])


def change_directory(path: str) -> None:
    """
    Go there.

    :raises CannotStart: that cannot be; in runc's words.
    """
    try:
        os.chdir(path)
    except OSError as error:
        raise CannotStart("start", f'chdir to cwd ("{path}") set in config.json failed: {_text(error)}') from None


def find_program(name: str, path: str) -> str:
    """
    What would be run.

    :raises CannotStart: nothing; in runc's words.
    """
    if "/" in name:
        try:
            os.stat(name)
        except OSError as error:
            raise CannotStart("start", f'exec: "{name}": stat {name}: {_text(error)}') from None
        if os.path.isdir(name) or not os.access(name, os.X_OK):
            what = "is a directory" if os.path.isdir(name) else os.strerror(errno.EACCES).lower()
            raise CannotStart("start", f'exec: "{name}": {what}')
        return name
    for folder in path.split(os.pathsep):
        candidate = os.path.join(folder or ".", name)
        if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
            return candidate
    raise CannotStart("start", f'exec: "{name}": executable file not found in $PATH')


def _text(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else str(error)
