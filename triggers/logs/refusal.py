"""For how long a stream could not be read. No I/O."""

from __future__ import annotations

from asyncrun.model.errors import MalformedAnswer, RemoteError


class Refusal:
    """For how long one and the same answer has kept us from reading a stream. Times are the event loop's."""

    __slots__ = ("_at", "_kind", "lasted", "retry_at", "wait")

    def __init__(self) -> None:
        self._kind: tuple[type[RemoteError], str] | None = None
        self._at: float | None = None
        self.lasted = self.wait = self.retry_at = 0.0

    def again(self, error: RemoteError, now: float, good_at: float, longest_wait: float) -> float:
        """
        It was refused; ask again at ``retry_at``.

        :param good_at: when the group last gave an answer that can be used. Answers that cannot be read count only
            where others can: else it is a gateway's page that we get, which is an outage.
        :return: seconds that this refusal has lasted: between answers that follow each other.
        """
        if self._kind != (type(error), error.code):
            self.over()
            self._kind = (type(error), error.code)
        if self._at is not None and (not isinstance(error, MalformedAnswer) or good_at > self._at):
            self.lasted += now - self._at
        self._at = now
        self.wait = min(longest_wait, max(1.0, self.wait * 2))
        self.retry_at = now + self.wait
        return self.lasted

    def unanswered(self) -> None:
        """Time without any answer proves nothing about a refusal."""
        self._at = None

    def over(self) -> None:
        """It was read."""
        self._kind, self._at = None, None
        self.lasted = self.wait = self.retry_at = 0.0
