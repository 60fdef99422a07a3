"""The node of the embedded Kubernetes: pods run as processes of this machine."""

from __future__ import annotations

from asyncrun.local.kube.node.node import LocalNode
from asyncrun.local.kube.node.options import Delays, ImageFault, NodeOptions

__all__ = ["Delays", "ImageFault", "LocalNode", "NodeOptions"]
