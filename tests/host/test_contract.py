"""The runtime of systemd's machines, tried on a host that systemd runs: its whole contract, with nothing skipped."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from hyperhive.runtimes import host as local
from tests.host.booted import REPOSITORY, Host, booted

pytestmark = pytest.mark.hive


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """Boot a host that sees this checkout and the Python that runs the tests."""
    with booted(shown={path: path for path in (REPOSITORY, *local.python().trees)}) as made:
        yield made


def run_there(host: Host, *tests: str, environment: Mapping[str, str]) -> None:
    """Run tests there, of which none may be skipped."""
    argv = (str(Path(sys.executable)), "-B", "-m", "pytest", "-p", "no:cacheprovider", "-rs", *tests)
    ended = host.run("env", "-C", str(REPOSITORY), *argv, check=False, environment=environment)
    assert ended.returncode == 0, ended.stdout[-8000:]
    assert "passed" in ended.stdout
    assert "skipped" not in ended.stdout, ended.stdout


def test_a_scope_keeps_limits(host: Host) -> None:
    """Where systemd runs, a sandbox's limits are those of a scope, and they hold."""
    run_there(
        host, "tests/runtimes/test_limits.py::TestKept::test_kept[found]", environment={"HYPERHIVE_TEST_WAY": "SCOPE"}
    )


def test_it_keeps_the_contract(host: Host) -> None:
    """Every promise of a runtime, and those of a machine, hold there."""
    # The host's own tree, with a mark, is as good a system as any to be shown instead of it.
    image = host.said("mktemp", "-d", "/var/lib/machines/hive-XXXXXX").strip()
    host.run("sh", "-euc", f"cp -a /bin /etc /lib* /sbin /usr {image}; printf 'of its own' >{image}/etc/hive-image")
    run_there(host, "tests/runtimes/test_nspawn.py", environment={"HYPERHIVE_TEST_IMAGE": image})
