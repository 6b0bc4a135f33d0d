"""The runtimes that need systemd, tried on a host that it runs: their whole contract, with nothing skipped."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from hyperhive.runtimes import host as local
from tests.host import nixos
from tests.host.booted import REPOSITORY, Host, booted

pytestmark = pytest.mark.hive

NIXOS = (
    "TestSystems or works_here or created_is or start_of_nothing or daemon_killed or new_generation or asks_first"
    " or cannot_run or another_program or works_in_its_state or socket_is_reached or stop_and_remove or bad_specs"
)
SHOWN = {path: path for path in (REPOSITORY, *local.python().trees)}


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """Boot a host that sees this checkout and the Python that runs the tests."""
    with booted(shown=SHOWN) as made:
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


def test_nixos_keeps_the_contract(host: Host) -> None:
    """The runtime of NixOS containers does, with a stand-in for NixOS's programs and containers that really boot.

    What its own part can break is tried; the rest, which is `Booted`'s, takes a minute more, and passes.
    """
    nixos.install(host, tuple(SHOWN))
    run_there(host, "tests/runtimes/test_nixos_contract.py", "-k", NIXOS, environment={})
