"""
The way to ``log_takeover = continue``: find the earlier files, make sure which one is our own, and read the others.

Files of former triggers and our own lie side by side, and our own may at first still hold what an earlier trigger of
the same triggerer wrote, until Airflow's supervisor truncates it with our first record. So a record with a mark goes
first: once a file shows it, that file is ours, and the others are the past.

Wherever anything is not as expected the log is replayed, which is right everywhere, and the task log says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

from asyncrun.clients.config import uploads_logs
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.takeover.files import records_of, shows
from asyncrun.triggers.logs.takeover.past import Crowded, Memory, Past
from asyncrun.triggers.logs.takeover.place import Unsuited, log_path, trigger_files
from asyncrun.triggers.tasklog import LOGGER
from asyncrun.triggers.wakeup import Wakeup

_logger = logging.getLogger(__name__)

# s, for all of it, and for the mark. That takes 0.1 s, 3 s on a loaded machine (measured); 50 MB are read in 0.5 s, one
# run after the other.
_LIMIT = 120.0
_MARK_LIMIT = 60.0
_FIRST_LOOK, _LATER_LOOK = 0.02, 0.5
# Airflow's reader merges files by turns, through a heap of 5,000 records of which it shows the first 2,500 whenever it
# is full (3.3.2, ``_interleave_logs``): what is not in it by then comes too late.
_ALWAYS_IN_ORDER = 2500
_MEMORY = Memory(64 << 20)  # of all runs that were taken over and have not yet come to where their past ends

T = TypeVar("T")


class Words(Protocol):
    """What is said in the run's task log."""

    def say(self, level: str, text: str) -> None:
        """One message."""


async def past_of(ti: Any, settings: Settings, words: Words) -> Past | None:
    """
    What earlier files hold of this attempt's log; None if all of it is to be written: there are none, or replay it is.

    Takes two minutes at most, in which nothing is known of the run; usually 0.1 s, and next to nothing for a run that
    was not taken over. Belongs to the caller, who closes it.

    :param ti: what Airflow set as the trigger's ``task_instance``; None outside of a triggerer.
    """
    if settings.log_takeover != "continue" or ti is None:
        return None
    try:
        return await _past(ti, words, asyncio.get_running_loop().time() + _LIMIT)
    except Unsuited as why:
        reason = str(why)
    except Crowded:
        reason = "too many logs, or too long ones, were taken over at once"
    except OSError as error:
        reason = f"the earlier files cannot be read ({error})"
    except Exception as error:
        _logger.exception("A defect of asyncrun while continuing a log")
        reason = f"a defect of asyncrun ({type(error).__name__}: {error})"
    words.say("warning", "log_takeover = continue is not possible here, so all of this log is written, as with replay: "
                         f"{reason}")  # fmt: skip
    return None


async def _past(ti: Any, words: Words, until: float) -> Past | None:
    if uploads_logs():
        raise Unsuited("[logging] remote_logging is on, and then earlier files may never be shown")
    log, begun = await _in_thread(lambda stop: _begun(ti, stop), until)
    if not begun:
        return None
    mark = secrets.token_hex(8)
    words.say("info", f"An earlier triggerer began this log; looking for what it holds already (mark {mark})")
    own = await _own_file(log, mark, until)
    past = Past(_MEMORY)
    try:
        files = await _in_thread(lambda stop: _read(log, own, past, stop), until)
    except BaseException:
        past.close()
        raise
    order = "" if past.count <= _ALWAYS_IN_ORDER else ". Of a log this long Airflow may show parts out of order"
    words.say("info", f"{past.count:,} records of this log stand in {files} earlier file{'' if files == 1 else 's'} "
                      f"and are not written again{order}")  # fmt: skip
    return past


def _begun(ti: Any, stop: threading.Event) -> tuple[Path, bool]:
    """The attempt's log, and whether any file of it holds a container's output."""
    log = log_path(ti)
    for path in trigger_files(log):
        with contextlib.suppress(FileNotFoundError, UnicodeDecodeError):
            if any(record.logger != LOGGER for _, record in records_of(path, stop)):
                return log, True
    return log, False


async def _own_file(log: Path, mark: str, until: float) -> Path:
    loop = asyncio.get_running_loop()
    give_up_at = min(loop.time() + _MARK_LIMIT, until)
    pause = _FIRST_LOOK
    while loop.time() < give_up_at:
        await asyncio.sleep(min(pause, give_up_at - loop.time()))
        pause = min(pause * 2, _LATER_LOOK)
        own = await _in_thread(lambda _: _marked(log, mark), until)
        if own is not None:
            return own
    raise Unsuited(f"what is logged here does not arrive in {log}.trigger.* within {_MARK_LIMIT:g} s")


def _marked(log: Path, mark: str) -> Path | None:
    for path in trigger_files(log):
        with contextlib.suppress(FileNotFoundError):
            if shows(path, mark):
                return path
    return None


def _read(log: Path, own: Path, past: Past, stop: threading.Event) -> int:
    """How many files went into ``past``."""
    files = 0
    for path in trigger_files(log):
        if path != own:
            with contextlib.suppress(FileNotFoundError, UnicodeDecodeError):
                past.learn(records_of(path, stop))
                files += 1
    return files


@lru_cache(maxsize=1)
def _thread() -> ThreadPoolExecutor:
    # One: parsing holds Python's lock, and two would slow the event loop twice as much.
    return ThreadPoolExecutor(1, thread_name_prefix="asyncrun-takeover")


async def _in_thread(work: Callable[[threading.Event], T], until: float) -> T:
    """
    Have it done by the one thread, and stop it when it is not waited for any more.

    :param work: is given an event that tells it to stop.
    :param until: the event loop's time.
    :raises Unsuited: it takes longer.
    """
    stop, done = threading.Event(), Wakeup()
    answer = asyncio.get_running_loop().run_in_executor(_thread(), work, stop)

    def finished(answer: asyncio.Future[T]) -> None:
        if not answer.cancelled():
            answer.exception()  # it may fail when nobody waits any more
        done.set()

    answer.add_done_callback(finished)
    try:
        # Not asyncio.timeout: a trigger's own task must keep the message of its cancellation.
        if not answer.done():
            await done.wait(until - asyncio.get_running_loop().time())
        if not answer.done():
            raise Unsuited(f"the earlier files were not read within {_LIMIT:g} s")
        return answer.result()
    finally:
        stop.set()
        answer.cancel()
