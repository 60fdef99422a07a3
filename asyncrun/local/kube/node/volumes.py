"""Volumes: directories below the node's folder, and where containers see them."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncrun.local.kube import quantities
from asyncrun.local.kube.node import environment
from asyncrun.local.kube.store import Json, Store

# What a real cluster puts into every namespace.
_ALWAYS_THERE = ("kube-root-ca.crt", "openshift-service-ca.crt")


class MountError(Exception):
    """``FailedMount`` (trace o_start_errors); the text is the kubelet's."""


@dataclass(frozen=True, slots=True)
class Volume:
    """
    One volume of a pod.

    :param path: directory or file of this machine.
    :param files: what is to be in it: contents and mode by relative path; None: whatever the containers write.
    :param ours: mount points may be created in it.
    :param read_only: whatever the mount says.
    :param size_limit: bytes after which the pod is evicted.
    """

    path: Path
    files: dict[str, tuple[bytes, int]] | None = None
    ours: bool = True
    read_only: bool = False
    size_limit: tuple[int, str] | None = None


@dataclass(frozen=True, slots=True)
class Sources:
    """
    Where the contents of volumes come from.

    :param fixed: values of ``fieldRef`` that the node knows.
    :param capacity: of the node.
    :param folder: of the pod's volumes.
    :param claims: of persistent volume claims: a folder by namespace and name that outlives pods.
    """

    store: Store
    pod: Json
    fixed: Mapping[str, str]
    capacity: Mapping[str, str]
    folder: Path
    claims: Path

    def volumes(self) -> dict[str, Volume]:
        """
        All of the pod's volumes, by name; nothing is created yet.

        :raises MountError: of one that cannot be made (yet).
        """
        return {one["name"]: self._volume(one) for one in self.pod["spec"].get("volumes") or ()}

    def _volume(self, volume: Json) -> Volume:
        path = self.folder / volume["name"]
        try:
            if "emptyDir" in volume:
                limit = (volume["emptyDir"] or {}).get("sizeLimit")
                return Volume(path, size_limit=(int(quantities.parse(limit)), str(limit)) if limit else None)
            if "hostPath" in volume:
                return _host_path(volume["hostPath"])
            if "persistentVolumeClaim" in volume:
                claim = volume["persistentVolumeClaim"]
                namespace = self.pod["metadata"].get("namespace", "")
                place = self.claims / namespace / _inside(claim["claimName"])
                return Volume(place, read_only=bool(claim.get("readOnly")))
            return Volume(path, files=dict(self._files(volume)), read_only=True)
        except (MountError, environment.ConfigError) as error:
            raise MountError(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}') from error

    def _files(self, volume: Json) -> Iterator[tuple[str, tuple[bytes, int]]]:
        for kind in ("secret", "configMap", "downwardAPI"):
            if kind in volume:
                return self._of_source(kind, volume[kind] or {}, (volume[kind] or {}).get("defaultMode"))
        if "projected" in volume:
            return self._projected(volume["projected"])
        kind = next((key for key in volume if key != "name"), "nothing")
        raise MountError(f"the embedded node has no volumes of type {kind}")

    def _projected(self, projected: Json) -> Iterator[tuple[str, tuple[bytes, int]]]:
        mode = projected.get("defaultMode")
        for source in projected.get("sources") or ():
            for kind, content in source.items():
                if kind == "serviceAccountToken":
                    yield content["path"], (b"token-of-the-embedded-cluster", _mode(None, mode))
                else:
                    yield from self._of_source(kind, content or {}, mode)

    def _of_source(self, kind: str, source: Json, default: int | None) -> Iterator[tuple[str, tuple[bytes, int]]]:
        if kind == "downwardAPI":
            for item in source.get("items") or ():
                yield item["path"], (self._downward(item).encode(), _mode(item.get("mode"), default))
            return
        if kind not in ("secret", "configMap"):
            raise MountError(f"the embedded node has no volume sources of type {kind}")
        data = self._data(kind, source)
        items = source.get("items")
        if not items:
            yield from ((key, (value, _mode(None, default))) for key, value in sorted(data.items()))
            return
        for item in items:
            if item["key"] in data:
                yield item["path"], (data[item["key"]], _mode(item.get("mode"), default))
            elif not source.get("optional") and source.get("name") not in _ALWAYS_THERE:
                title = "secret" if kind == "secret" else "config"
                raise MountError(f"references non-existent {title} key: {item['key']}")

    def _data(self, kind: str, source: Json) -> dict[str, bytes]:
        name = source.get("secretName") or source.get("name") or ""
        namespace = self.pod["metadata"].get("namespace", "")
        data = environment.object_data(self.store, f"{kind.lower()}s", namespace, name)
        if data is None and not source.get("optional") and name not in _ALWAYS_THERE:
            raise MountError(f'{kind.lower()} "{name}" not found')
        return data or {}

    def _downward(self, item: Json) -> str:
        if "fieldRef" in item:
            return environment.field(self.pod, item["fieldRef"]["fieldPath"], self.fixed)
        reference = item["resourceFieldRef"]
        return environment.resource(self.pod, {"name": reference["containerName"]}, reference, self.capacity)


def _mode(own: int | None, default: int | None) -> int:
    if own is not None:
        return own
    return 0o644 if default is None else default


def _host_path(source: Json) -> Volume:
    path, kind = Path(source["path"]), source.get("type") or ""
    if kind in ("Directory", "DirectoryOrCreate") and not path.is_dir():
        raise MountError(f"hostPath type check failed: {path} is not a directory")
    if kind in ("File", "FileOrCreate") and not path.is_file():
        raise MountError(f"hostPath type check failed: {path} is not a file")
    if not path.exists():
        raise MountError(f"hostPath {path} does not exist: the embedded node creates nothing outside of its own folder")
    return Volume(path, ours=False)


def create(volumes: Mapping[str, Volume]) -> None:
    """Make them. Touches the disk: not for the event loop."""
    for volume in volumes.values():
        if not volume.ours:
            continue
        volume.path.mkdir(parents=True, exist_ok=True)
        for name, (content, mode) in (volume.files or {}).items():
            path = volume.path / _inside(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            path.write_bytes(content)
            path.chmod(mode)


def _inside(path: str) -> str:
    """
    A relative path that stays below where it starts.

    :raises MountError: it does not.
    """
    normal = posixpath.normpath(path)
    if normal.startswith(("/", "..")):
        raise MountError(f"path {path!r} leaves the volume")
    return normal


def mounts(container: Json, volumes: Mapping[str, Volume], values: Mapping[str, str]) -> list[dict[str, Any]]:
    """
    What a container sees of them, outer ones first (see ``host/mounts.py``). Creates missing ``subPath`` directories.

    Touches the disk: not for the event loop.

    :raises MountError: a ``subPath`` that cannot be.
    """
    found = []
    for one in container.get("volumeMounts") or ():
        volume = volumes[one["name"]]
        below = environment.expand(one["subPathExpr"], values) if one.get("subPathExpr") else one.get("subPath") or ""
        source = volume.path / _inside(below) if below else volume.path
        if not source.resolve().is_relative_to(volume.path.resolve()):  # over a link that a container made
            raise MountError(f'failed to prepare subPath for volumeMount "{one["name"]}": {below} leaves the volume')
        if below and volume.ours and volume.files is None and not source.exists():
            source.mkdir(parents=True)
        if not source.exists():
            raise MountError(f'failed to prepare subPath for volumeMount "{one["name"]}": {below} does not exist')
        read_only = bool(one.get("readOnly")) or volume.read_only
        target = one["mountPath"]
        found.append({"source": str(source), "target": target, "read_only": read_only, "ours": volume.ours})
    return sorted(found, key=lambda mount: str(mount["target"]).rstrip("/").count("/"))


def too_big(volumes: Mapping[str, Volume]) -> tuple[str, str] | None:
    """A volume above its limit: name and limit. Touches the disk: not for the event loop."""
    for name, volume in volumes.items():
        if volume.size_limit is not None and _used(volume.path) > volume.size_limit[0]:
            return name, volume.size_limit[1]
    return None


def _used(path: Path) -> int:
    total = 0
    for folder, _, files in os.walk(path):
        for name in files:
            try:
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512  # noqa: PTH118
            except OSError:
                continue  # it is gone by now
    return total
