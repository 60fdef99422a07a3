"""What the XCom sidecar handed over, read: anything that was cut or changed on the way is noticed."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncrun.model.pod import ContainerState, ContainerStatus, Metadata, Pod, PodStatus, Running, Terminated
from asyncrun.model.pod_xcom import (
    SIDECAR_NAME,
    Handed,
    HandedKind,
    XComCut,
    XComInvalid,
    XComMissing,
    XComTooLong,
    XComUnreadable,
    XComUnusable,
    handed_over,
    parse,
    read_log,
    read_message,
    value_of,
)


def _sum(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()


def inline(value: bytes, *, has_sum: bool = True) -> str:
    """As the sidecar writes it: base64 in lines of 76."""
    text = base64.encodebytes(value).decode().rstrip()
    return f"asyncrun-xcom/1 inline {len(value)} {_sum(value) if has_sum else '-'} {text} ."


def log(value: bytes, *, has_sum: bool = True) -> list[str]:
    head = f"{len(value)} {_sum(value) if has_sum else '-'}"
    text = base64.encodebytes(value).decode().splitlines()
    return [f"asyncrun-xcom/1 begin {head}", *text, f"asyncrun-xcom/1 end {head}"]


def in_log(value: bytes, *, has_sum: bool = True) -> Handed:
    return read_message(f"asyncrun-xcom/1 log {len(value)} {_sum(value) if has_sum else '-'} .")


@given(value=st.binary(max_size=300), has_sum=st.booleans())
def test_an_inline_value_is_read(value: bytes, has_sum: bool) -> None:
    handed = read_message(inline(value, has_sum=has_sum))
    assert (handed.kind, handed.value, handed.length) == (HandedKind.INLINE, value, len(value))


@given(value=st.binary(max_size=300), has_sum=st.booleans(), data=st.data())
def test_a_message_that_was_cut_anywhere_never_gives_a_value(value: bytes, has_sum: bool, data: st.DataObject) -> None:
    whole = inline(value, has_sum=has_sum)
    handed = read_message(whole[: data.draw(st.integers(0, len(whole) - 1))])
    assert handed.kind in (HandedKind.IN_LOG, HandedKind.MISSING)
    if handed.kind is HandedKind.IN_LOG:
        assert read_log(log(value, has_sum=has_sum), handed) == value


@given(value=st.binary(min_size=1, max_size=300), data=st.data())
def test_a_message_that_was_changed_never_gives_another_value(value: bytes, data: st.DataObject) -> None:
    whole = inline(value)
    place = data.draw(st.integers(len("asyncrun-xcom/1 inline "), len(whole) - 1))
    changed = whole[:place] + data.draw(st.characters(exclude_characters=whole[place])) + whole[place + 1 :]
    handed = read_message(changed)
    assert handed.kind is not HandedKind.INLINE or handed.value == value


@given(value=st.binary(max_size=300), has_sum=st.booleans(), noise=st.lists(st.text(max_size=20), max_size=3))
def test_a_value_is_found_among_other_lines_of_the_log(value: bytes, has_sum: bool, noise: list[str]) -> None:
    lines = [*noise, *log(b"another"), *noise, *log(value, has_sum=has_sum), *noise]
    assert read_log(lines, in_log(value, has_sum=has_sum)) == value


@given(value=st.binary(min_size=1, max_size=300), has_sum=st.booleans(), data=st.data())
def test_a_log_that_was_cut_anywhere_is_an_error(value: bytes, has_sum: bool, data: st.DataObject) -> None:
    lines = log(value, has_sum=has_sum)
    first = data.draw(st.integers(0, len(lines) - 1))
    last = data.draw(st.integers(first, len(lines) - 1 + bool(first)))
    with pytest.raises(XComCut):
        read_log(lines[first:last], in_log(value, has_sum=has_sum))
    drop = data.draw(st.integers(0, len(lines) - 1))
    with pytest.raises(XComCut):
        read_log(lines[:drop] + lines[drop + 1 :], in_log(value, has_sum=has_sum))


def test_a_line_in_between_that_is_no_base64_does_no_harm() -> None:
    begin, text, end = log(b"12345")
    assert read_log([begin, "sh: something odd", text, end], in_log(b"12345")) == b"12345"


def test_a_log_that_never_ends_takes_no_memory() -> None:
    begin, *_ = log(b"x" * 3000)
    endless = itertools.chain([begin], (f"{number:076d}" for number in range(50_000)))
    tracemalloc.start()
    try:
        with pytest.raises(XComCut):
            read_log(endless, in_log(b"x" * 3000))
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()


def test_the_texts_of_a_cut_value() -> None:
    value = b"x" * 3000
    with pytest.raises(XComCut) as caught:
        read_log(log(value)[:-1], in_log(value))
    assert str(caught.value) == (
        "The XCom of 3,000 bytes was cut: the log of container 'airflow-xcom-sidecar' has only part of the value. A "
        "node keeps only the newest 10 MiB of a container's log, unless its kubelet is told otherwise "
        "(containerLogMaxSize). Write a shorter value, such as the address of a file"
    )
    with pytest.raises(XComCut, match="has no value"):
        read_log([], in_log(value))


@given(text=st.text(max_size=200))
def test_any_message_is_read_without_an_exception(text: str) -> None:
    assert read_message(text).kind is HandedKind.MISSING
    read_message("asyncrun-xcom/1 " + text)


def _refusal(handed: Handed) -> XComUnusable:
    with pytest.raises(XComUnusable) as caught:
        value_of(handed, container="base")
    return caught.value


MISSING = "Container 'airflow-xcom-sidecar' ended without handing over the XCom of container 'base': "
NEEDS = (
    ". It needs some seconds when the pod ends (termination_grace_period), and an image with sh, wc, base64 and sleep"
)


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ("", "it said nothing (OOMKilled, exit code 137)"),
        ("could not be located", "its termination message is 'could not be located' (OOMKilled, exit code 137)"),
        ("asyncrun-xcom/1 inline 3", "its message was cut (OOMKilled, exit code 137)"),
        (
            "asyncrun-xcom/2 inline 3 x MQ== .",
            "it speaks version 2 of a language of which this asyncrun knows version 1",
        ),
    ],
)
def test_the_texts_of_a_sidecar_that_said_nothing_of_use(message: str, why: str) -> None:
    error = _refusal(read_message(message, ended="OOMKilled, exit code 137"))
    assert (type(error), str(error)) == (XComMissing, MISSING + why + NEEDS)


@pytest.mark.parametrize(
    ("message", "kind", "text"),
    [
        (
            "asyncrun-xcom/1 error permission denied for user 1000: -rw-------    1 0 0  12 /x .",
            XComUnreadable,
            "The XCom of container 'base' cannot be read by container 'airflow-xcom-sidecar': permission denied for "
            "user 1000: -rw------- 1 0 0 12 /x. Let it write /airflow/xcom/return.json so that others may read it, or "
            "give the sidecar its user (xcom_sidecar_container_security_context)",
        ),
        (
            "asyncrun-xcom/1 long 2000000 1048576 .",
            XComTooLong,
            "The XCom of container 'base' is too long: it has 2,000,000 bytes, and [asyncrun] pod_xcom_limit allows "
            "1,048,576. Write a shorter value, such as the address of a file, or raise that setting",
        ),
    ],
)
def test_the_texts_of_what_cannot_be_used(message: str, kind: type[XComUnusable], text: str) -> None:
    error = _refusal(read_message(message))
    assert (type(error), str(error)) == (kind, text)


def test_no_value_is_none() -> None:
    assert value_of(read_message("asyncrun-xcom/1 none missing ."), container="base") is None
    odd = read_message("asyncrun-xcom/1 none symlink .")
    assert value_of(odd, container="base") is None
    assert (odd.is_odd, odd.why) == (True, "it is a symbolic link, which is not followed: write a file")


def test_a_value_is_parsed_wherever_it_stands() -> None:
    value = json.dumps({"a": [1, None, "ä"]}).encode()
    assert value_of(read_message(inline(value)), container="base") == {"a": [1, None, "ä"]}
    assert value_of(in_log(value), container="base", lines=log(value)) == {"a": [1, None, "ä"]}


_scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@given(value=st.recursive(_scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10))
def test_whatever_json_can_hold_is_parsed(value: Any) -> None:
    if value != "":
        assert parse(json.dumps(value).encode(), container="base") == value


@pytest.mark.parametrize("value", [b"", b"__airflow_xcom_result_empty__", b"__airflow_xcom_result_empty__\n"])
def test_an_empty_file_and_upstreams_word_for_it_are_none(value: bytes) -> None:
    assert parse(value, container="base") is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b'{"a": secret}', "Expecting value at line 1, column 7"),
        (b'{"a": 1,\n "b"', "Expecting ':' delimiter at line 2, column 5"),
        (b"1 2", "Extra data at line 1, column 3"),
        (b"\n", "Expecting value at line 2, column 1"),
        (b'"\xff"', "byte 2 is not UTF-8"),
        (b"[NaN]", "NaN is no number of JSON"),
        (b"-Infinity", "-Infinity is no number of JSON"),
        (b"1e999", "a number is too large for a 64-bit float"),
    ],
)
def test_what_is_no_json_is_refused_without_showing_it(value: bytes, text: str) -> None:
    with pytest.raises(XComInvalid) as caught:
        parse(value, container="main")
    assert str(caught.value) == (
        f"The XCom that container 'main' wrote to /airflow/xcom/return.json is not JSON: {text}"
    )


@pytest.mark.parametrize("value", [b'"\\ud800"', b"[" * 100_000 + b"]" * 100_000, b"1" * 5000])
def test_json_that_cannot_be_stored_is_refused(value: bytes) -> None:
    with pytest.raises(XComInvalid):
        parse(value, container="main")


def test_a_surrogate_pair_is_a_character() -> None:
    assert parse(b'"\\ud834\\udd1e"', container="main") == "𝄞"


def _pod(phase: str, main: ContainerState, sidecar: ContainerState) -> Pod:
    return Pod(
        metadata=Metadata(uid="u", name="p"),
        status=PodStatus(
            phase=phase,
            container_statuses=(ContainerStatus(name="base", state=main),),
            init_container_statuses=(ContainerStatus(name=SIDECAR_NAME, state=sidecar),),
        ),
    )


RUNS = ContainerState(running=Running())
ENDED = ContainerState(terminated=Terminated(exit_code=0, reason="Completed", message=inline(b"1")))
MUTE = ContainerState(terminated=Terminated(exit_code=137, reason="Error"))


@pytest.mark.parametrize(
    ("phase", "main", "sidecar"),
    [("Running", RUNS, RUNS), ("Running", ENDED, RUNS), ("Running", RUNS, MUTE), ("Pending", RUNS, ENDED)],
)
def test_nothing_is_handed_over_before_both_have_ended(
    phase: str, main: ContainerState, sidecar: ContainerState
) -> None:
    assert handed_over(_pod(phase, main, sidecar), "base") is None


def test_it_is_handed_over_before_the_pods_phase_is_final() -> None:
    handed = handed_over(_pod("Running", ENDED, ENDED), "base")
    assert handed is not None
    assert handed.value == b"1"


@pytest.mark.parametrize(
    ("sidecar", "why"),
    [(RUNS, "Kubernetes shows no end of it"), (MUTE, "it said nothing (Error, exit code 137)")],
)
def test_a_pod_that_ended_without_its_sidecars_word_has_handed_nothing_over(sidecar: ContainerState, why: str) -> None:
    assert handed_over(_pod("Failed", RUNS, sidecar), "base") == Handed(kind=HandedKind.MISSING, why=why)
