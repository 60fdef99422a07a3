"""Why a run ended as it did, in words for a person and in codes for a program."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Cause(StrEnum):
    """The kinds of ends that we can tell apart."""

    NONE = "none"
    """It succeeded."""
    EXIT_CODE = "exit_code"
    """The program in the container said that it failed."""
    KILLED = "killed"
    """The container was ended by a signal, and nothing says by whom."""
    OUT_OF_MEMORY = "out_of_memory"
    IMAGE = "image"
    """The image cannot be pulled."""
    SECRET = "secret"  # noqa: S105 - the name of a cause
    """A secret or parameter cannot be read."""
    CONFIG = "config"
    """A ConfigMap, or a key of one, is missing, or the definition of the container cannot work."""
    VOLUME = "volume"
    """A volume cannot be attached or mounted."""
    ROLE = "role"
    """A role cannot be assumed."""
    LOG_GROUP = "log_group"
    """The log group is missing or cannot be created or written."""
    NETWORK = "network"
    """The network interface or the route to the registry is missing."""
    CAPACITY = "capacity"
    """There is no room for the run."""
    SPOT = "spot"
    """Spot capacity was taken back."""
    EVICTED = "evicted"
    """The platform ended it to free room on the machine, or because it used more than its volumes may."""
    PREEMPTED = "preempted"
    """It had to make room for a run of a higher priority."""
    HOST = "host"
    """The machine below the containers went away."""
    USER = "user"
    """Stopped by somebody."""
    DEADLINE = "deadline"
    """Stopped at its deadline: by us, or by the platform at the deadline of its own definition."""
    ACCESS = "access"
    """We can no longer see it."""
    LOST = "lost"
    """The platform no longer knows it."""
    RESULT = "result"
    """It ran, and its result (XCom) could not be had."""
    START = "start"
    """It failed to start for a reason that we do not know better."""
    UNKNOWN = "unknown"


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """
    One sentence on what happened, its cause, the evidence, and what to do next.

    :param evidence: reason codes and the platform's own words, one fact each.
    :param next_step: what the reader should do, empty if nothing.
    """

    summary: str
    cause: Cause = Cause.UNKNOWN
    evidence: tuple[str, ...] = ()
    next_step: str = ""

    def text(self, last_lines: tuple[str, ...] = ()) -> str:
        """The whole diagnosis as text for a log or an exception, with the last log lines if there are any."""
        parts = [self.summary]
        if self.next_step:
            parts.append(f"Next step: {self.next_step}")
        if self.evidence:
            parts.append("Evidence: " + "; ".join(self.evidence))
        if last_lines:
            parts.append(f"Last {len(last_lines)} log lines:")
            parts.extend(f"  {line}" for line in last_lines)
        return "\n".join(parts)
