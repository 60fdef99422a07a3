"""What is sent of what was counted. No I/O."""

from __future__ import annotations

from collections.abc import Hashable

from hypothesis import given
from hypothesis import strategies as st

from asyncrun.triggers.metrics import catalogue as m
from asyncrun.triggers.metrics.sampling import Ledger, Sample, Value


def calls(total: float, source: Hashable = 1, api: str = "run-task") -> Sample:
    return Sample(m.CALLS, total, source, {"api": api, "region": "eu-west-1", "account": "1"})


def runs(number: float, cluster: str) -> Sample:
    return Sample(m.RUNS, number, cluster, {"kind": "ECS task", "cluster": cluster})


def shown(values: list[Value]) -> dict[str, float]:
    return {",".join([one.name, *(f"{name}={tag}" for name, tag in one.tags.items())]): one.value for one in values}


def test_a_counter_is_sent_as_what_was_added() -> None:
    ledger = Ledger("host", tagged=False)
    sent = [shown(ledger.settle([calls(total)])) for total in (5, 5, 9)]
    assert sent == [{"asyncrun.calls.run-task": 5}, {}, {"asyncrun.calls.run-task": 4}]


def test_a_watcher_that_ended_takes_nothing_away_and_its_successor_counts_from_nothing() -> None:
    ledger = Ledger("host", tagged=False)
    ledger.settle([calls(1000, "old"), calls(10, "stays")])
    assert shown(ledger.settle([calls(13, "stays")])) == {"asyncrun.calls.run-task": 3}
    assert shown(ledger.settle([calls(13, "stays"), calls(4, "old")])) == {"asyncrun.calls.run-task": 4}
    assert shown(ledger.settle([calls(13, "stays"), calls(1, "old")])) == {"asyncrun.calls.run-task": 1}


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30))
def test_fractions_of_a_counter_are_not_lost(added: list[float]) -> None:
    ledger, total, sent = Ledger("host", tagged=False), 0.0, 0.0
    for one in added:
        total += one
        values = ledger.settle([Sample(m.CHANNEL_WAIT, total, None, {})])
        sent += sum(value.value for value in values)
        assert all(value.value == int(value.value) > 0 for value in values)
    assert total - 1.001 <= sent <= total + 0.001


def test_without_tags_clusters_are_added_and_hosts_are_kept_apart() -> None:
    ledger = Ledger("node-1.example", tagged=False)
    assert shown(ledger.settle([runs(3, "one"), runs(4, "two")])) == {"asyncrun.ecs.runs.node-1_example": 7}


def test_without_tags_the_longest_round_counts() -> None:
    ledger = Ledger("host", tagged=False)
    rounds = [Sample(m.ROUND, seconds, seconds, {"kind": "ECS task", "cluster": "c"}) for seconds in (0.5, 2.5, 1.0)]
    assert shown(ledger.settle(rounds)) == {"asyncrun.ecs.round.host": 2.5}


def test_with_tags_clusters_are_told_apart_and_equal_names_in_two_accounts_are_added() -> None:
    ledger = Ledger("host", tagged=True)
    two_accounts = [runs(3, "one"), runs(4, "two"), runs(5, "two")._replace(source="elsewhere")]
    assert shown(ledger.settle(two_accounts)) == {
        "asyncrun.ecs.runs,cluster=one,hostname=host": 3,
        "asyncrun.ecs.runs,cluster=two,hostname=host": 9,
    }


def test_a_gauge_whose_source_is_gone_is_sent_as_zero_once() -> None:
    ledger = Ledger("host", tagged=True)
    ledger.settle([runs(3, "one"), runs(4, "two")])
    one = "asyncrun.ecs.runs,cluster=one,hostname=host"
    assert shown(ledger.settle([runs(4, "two")]))[one] == 0
    assert one not in shown(ledger.settle([runs(4, "two")]))


def test_what_a_backend_would_refuse_is_replaced() -> None:
    ledger = Ledger("ho st", tagged=True)
    (value,) = ledger.settle([runs(1, "a,b=c|d#e/é")])
    assert value.tags == {"cluster": "a_b_c_d_e__", "hostname": "ho_st"}


def test_every_duration_is_sent() -> None:
    lags = [Sample(m.DETECTION_LAG, 100.0 * number, number, {}) for number in range(3)]
    assert [one.value for one in Ledger("host", tagged=False).settle(lags)] == [0, 100, 200]


def test_at_the_last_sending_every_gauge_is_zero_and_counters_are_complete() -> None:
    ledger = Ledger("host", tagged=False)
    ledger.settle([runs(3, "one"), calls(5)])
    assert shown(ledger.settle([runs(2, "one"), calls(9)], last=True)) == {
        "asyncrun.ecs.runs.host": 0,
        "asyncrun.calls.run-task": 4,
    }
    assert ledger.settle([calls(9)], last=True) == []
