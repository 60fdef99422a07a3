"""Whoever lists and then watches knows the cluster, wherever the watch was cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncrun.local.kube.access import ANONYMOUS
from asyncrun.local.kube.query import Call
from asyncrun.local.kube.resources import find
from asyncrun.local.kube.selectors import label_selector
from asyncrun.local.kube.store import Store, TooOld
from asyncrun.local.kube.watching import Watch

NAMES = st.sampled_from(["a", "b", "c"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), NAMES, st.sampled_from(["1", "2", ""])),
        st.tuples(st.just("remove"), NAMES, st.just("")),
        st.tuples(st.just("read"), st.just(""), st.just("")),
        st.tuples(st.just("cut"), st.just(""), st.just("")),
        st.tuples(st.just("compact"), st.just(""), st.just("")),
    ),
    max_size=40,
)


class Reader:
    """What a client knows that lists, watches, and goes on from the last version it has seen."""

    def __init__(self, store: Store, selector: str, field: str) -> None:
        self._store, self._selector, self._field = store, selector, field
        self.relists = -1
        self.list()

    def list(self) -> None:
        """Begin anew."""
        matches = label_selector(self._selector) or (lambda _: True)
        self.known = {
            one["metadata"]["uid"]: one
            for one in self._store.list("pods", "ns")
            if matches(one) and (not self._field or one["metadata"]["name"] == self._field)
        }
        self._version = str(self._store.revision)
        self.relists += 1
        self.watch()

    def watch(self) -> None:
        """Go on."""
        query = {"watch": "true", "resourceVersion": self._version, "labelSelector": self._selector}
        if self._field:
            query["fieldSelector"] = f"metadata.name={self._field}"
        resource = find("", "v1", "pods")
        assert resource is not None
        self._watch = Watch(self._store, Call("watch", resource, "ns", "", "", query, ANONYMOUS), None, (60, 60))
        try:
            assert self._watch.begin() == b""
        except TooOld:
            self.list()

    def read(self) -> None:
        """Take what has come."""
        for line in self._watch.take().splitlines():
            event = json.loads(line)
            self._apply(event["type"], event["object"])

    def _apply(self, kind: str, obj: dict[str, Any]) -> None:
        uid = obj["metadata"]["uid"]
        assert int(obj["metadata"]["resourceVersion"]) > int(self._version), "in order, and nothing twice"
        self._version = obj["metadata"]["resourceVersion"]
        if kind == "ADDED":
            assert uid not in self.known
            self.known[uid] = obj
        elif kind == "MODIFIED":
            assert uid in self.known
            self.known[uid] = obj
        else:
            assert kind == "DELETED"
            del self.known[uid]


def step(store: Store, kind: str, name: str, value: str) -> None:
    old = store.get("pods", "ns", name)
    if kind == "put":
        labels = {"x": value} if value else {}
        if old is None:
            metadata = {"name": name, "namespace": "ns", "labels": labels}
            store.create("pods", {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": {}})
        else:
            store.update("pods", {**old, "metadata": {**old["metadata"], "labels": labels}})
    elif kind == "remove" and old is not None:
        store.remove("pods", "ns", name)
    elif kind == "compact":
        store.compact()


@pytest.mark.parametrize("field", ["", "a"])
@pytest.mark.parametrize("selector", ["", "x=1", "x notin (1)", "!x"])
@given(steps=STEPS)
def test_a_reader_always_knows_the_cluster(selector: str, field: str, steps: list[tuple[str, str, str]]) -> None:
    store = Store()
    reader = Reader(store, selector, field)
    for kind, name, value in steps:
        if kind == "read":
            reader.read()
        elif kind == "cut":
            reader.watch()
        else:
            step(store, kind, name, value)
    reader.read()
    expected = Reader(store, selector, field)
    assert reader.known == expected.known


def test_a_reader_that_was_cut_and_overtaken_must_list_again() -> None:
    store = Store()
    reader = Reader(store, "", "")
    step(store, "put", "a", "1")
    store.compact()
    reader.watch()
    assert reader.relists == 1
    assert [one["metadata"]["name"] for one in reader.known.values()] == ["a"]
