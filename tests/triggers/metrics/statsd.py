"""A StatsD server on a UDP socket of the loopback interface, and the client that Airflow's own logger sends with."""

from __future__ import annotations

import socket
import threading
from datetime import timedelta
from typing import Any

from airflow.sdk._shared.observability.metrics.statsd_logger import SafeStatsdLogger, get_statsd_logger


class StatsdClient:
    """The few methods of the package ``statsd`` that Airflow calls, in the same protocol."""

    def __init__(self, host: str, port: int, prefix: str, ipv6: bool) -> None:
        self._socket, self._to, self._prefix = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), (host, port), prefix

    def incr(self, stat: str, count: float = 1, rate: float = 1) -> None:
        self._send(stat, f"{count}|c")

    def gauge(self, stat: str, value: float, rate: float = 1, delta: bool = False) -> None:
        self._send(stat, f"{value}|g")

    def timing(self, stat: str, delta: float | timedelta, rate: float = 1) -> None:
        value = delta.total_seconds() * 1000 if isinstance(delta, timedelta) else delta
        self._send(stat, f"{value:0.6f}|ms")

    def _send(self, stat: str, value: str) -> None:
        self._socket.sendto(f"{self._prefix}.{stat}:{value}".encode(), self._to)

    def close(self) -> None:
        self._socket.close()


class StatsdServer(threading.Thread):
    """Everything that was received, in order, as (name, value, type)."""

    def __init__(self) -> None:
        super().__init__(name="statsd server", daemon=True)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._grown = threading.Condition()
        self._all: list[tuple[str, float, str]] = []
        self._clients: list[StatsdClient] = []
        self._marks = 0
        self.start()

    def run(self) -> None:
        while data := self._socket.recv(65536):
            name, _, rest = data.decode().partition(":")
            value, _, kind = rest.partition("|")
            with self._grown:
                self._all.append((name, float(value), kind))
                self._grown.notify_all()

    def logger(self, **options: Any) -> SafeStatsdLogger:
        """What Airflow sends its metrics with when StatsD is on."""

        def client(*arguments: Any) -> StatsdClient:
            self._clients.append(StatsdClient(*arguments))
            return self._clients[-1]

        host, port = self._socket.getsockname()
        return get_statsd_logger(stats_class=client, host=host, port=port, prefix="airflow", **options)

    def received(self) -> list[tuple[str, float, str]]:
        """All that was sent before this call: datagrams of the loopback interface keep their order."""
        self._marks += 1
        mark = f"mark{self._marks}"
        self._poke(f"{mark}:0|g".encode())
        with self._grown:
            assert self._grown.wait_for(lambda: any(name == mark for name, _, _ in self._all), 10)
            return [one for one in self._all if not one[0].startswith("mark")]

    def values(self, name: str) -> list[float]:
        """The values of that metric; its name without ``airflow.asyncrun.``, its tags included."""
        return [value for known, value, _ in self.received() if known == f"airflow.asyncrun.{name}"]

    def _poke(self, data: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(data, self._socket.getsockname())

    def close(self) -> None:
        self._poke(b"")
        self.join(10)
        for one in [*self._clients, self._socket]:
            one.close()
