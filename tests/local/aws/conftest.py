"""Embedded AWSs for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from asyncrun.local.aws import EmbeddedAws, EmbeddedAwsOptions, LifecycleDelays
from tests.support.lab import QUICK, Lab


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A quick server with AWS's behaviour and no faults."""
    with EmbeddedAws(EmbeddedAwsOptions(log_groups=("/lab",), delays=QUICK, flush_interval=0.1)) as aws:
        yield Lab(aws)
        assert aws.log_text() == ""


@pytest.fixture
def faulty(lab: Lab) -> Iterator[Lab]:
    """The same server, for tests that disturb it: undisturbed again afterwards."""
    lab.aws.control.calls(clear=True)
    yield lab
    lab.aws.control.clear_faults()
    lab.aws.control.set_quotas({})
    lab.aws.control.set_policy(None)
    lab.aws.control.set_out_of_capacity()


@pytest.fixture(scope="session")
def patient_lab() -> Iterator[Lab]:
    """A server whose tasks stay in each state long enough to be seen on a busy machine."""
    with EmbeddedAws(EmbeddedAwsOptions(delays=LifecycleDelays(*[0.25] * 6))) as aws:
        yield Lab(aws)
        assert aws.log_text() == ""


@pytest.fixture(scope="session")
def slow_lab() -> Iterator[Lab]:
    """A server where everything that AWS may show late is late, and every limit is low."""
    options = EmbeddedAwsOptions(
        log_groups=("/lab",),
        delays=QUICK,
        flush_interval=0.1,
        describe_visibility_delay=0.4,
        log_visibility_delay=0.5,
        log_page_limit=2,
        log_empty_first_page=True,
        stop_reason_delay=0.5,
        stopped_task_retention=1.5,
        stop_timeout=0.3,
        ec2_memory=300,
    )
    with EmbeddedAws(options) as aws:
        yield Lab(aws)
        assert aws.log_text() == ""
