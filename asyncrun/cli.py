"""The `asyncrun` command.

A subcommand is a function that adds its arguments and one that runs it; what it needs is imported when it runs.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (130 after Ctrl-C, as shells expect it)."""
    arguments = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGHUP, _end)
    try:
        code: int = arguments.run(arguments)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader of our output is gone (`| head`); Python's flush at exit must not complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return code


def _end(number: int, _frame: FrameType | None) -> None:
    """A request to end runs the same cleaning up as an exception does."""
    raise SystemExit(128 + number)


def _parser() -> argparse.ArgumentParser:
    from asyncrun import __version__

    parser = argparse.ArgumentParser(
        prog="asyncrun", description="Run containers from Airflow without holding a worker."
    )
    parser.add_argument("--version", action="version", version=f"asyncrun {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_demo(commands)
    return parser


def _add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    demo = commands.add_parser(
        "demo",
        help="run the example DAGs on this machine, without an AWS account",
        description="Start a real Airflow and an embedded AWS here, run the example DAGs and show their logs.",
    )
    demo.add_argument("--keep", action="store_true", help="leave Airflow running afterwards, until Ctrl-C")
    demo.add_argument("--port", type=int, metavar="N", help="port of Airflow's UI on 127.0.0.1 (default: a free one)")
    demo.add_argument(
        "--timeout",
        type=float,
        default=120,
        metavar="S",
        help="seconds for all DAG runs together (default: %(default)g)",
    )
    demo.set_defaults(run=_demo)


def _demo(arguments: argparse.Namespace) -> int:
    try:
        from asyncrun.local.demo import DemoOptions, run_demo
    except ModuleNotFoundError as error:
        print(
            f"asyncrun demo needs the extra `local` ({error.name} is missing): pip install 'asyncrun[local]'",
            file=sys.stderr,
        )
        return 2
    # A shell's background job begins with SIGINT ignored; whoever sends one all the same wants everything cleaned up.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return run_demo(DemoOptions(keep=arguments.keep, port=arguments.port, timeout=arguments.timeout))


if __name__ == "__main__":
    sys.exit(main())
