"""Which process of pytest-xdist runs what: one has the one Airflow, which mostly waits; the others run other files."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

OWN_AIRFLOW = ("tests/airflow/test_demo.py", "tests/airflow/test_parent.py", "tests/airflow/test_postgres.py")
"""Files that start an Airflow of their own, and so can run beside the shared one."""


class OneAirflow(LoadScopeScheduling):
    """
    Files stay whole, and all that share the Airflow of the session stay in one process.

    Not ``--dist loadgroup``: pytest-xdist 3.8 writes the groups into an attribute that pytest 9.2 no longer reads.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "tests/airflow" if file.startswith("tests/airflow/") and file not in OWN_AIRFLOW else file
