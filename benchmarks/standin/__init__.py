"""
A fast stand-in for ECS and CloudWatch Logs, for measuring triggers: the true wire protocol, simulated tasks.

Nothing runs in its tasks: state and log are computed from the time of the question, so that one process answers several
hundred calls per second. ``python -m benchmarks.standin --port 0`` starts it; ``StandIn`` does so for a harness.
"""

from benchmarks.standin.options import Options, TaskSpec
from benchmarks.standin.process import Control, StandIn

__all__ = ["Control", "Options", "StandIn", "TaskSpec"]
