"""Of a Python exactly what it needs is shown, wherever and however it was installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from hyperhive.runtimes.host import Python, python_of, resolve


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a directory without links on the way to it."""
    return tmp_path.resolve()


def made(path: Path) -> Path:
    """Make a directory."""
    path.mkdir(parents=True)
    return path


class TestPython:
    """Kinds of installations."""

    def test_checkout_with_pyenv(self, root: Path) -> None:
        """A checkout shows its environment, the base Python and the harness package; nothing of what lies beside."""
        base = made(root / "home/.pyenv/versions/3.11.7")
        harness = made(root / "work/harness")
        venv = made(root / "work/.venv")
        made(venv / "bin")
        (venv / "bin/python").symlink_to(base / "bin/python3")
        described = python_of(
            executable=venv / "bin/python",
            prefixes=(venv, base),
            harness=harness,
            packages=[made(venv / "lib/site-packages")],
        )
        assert described == Python(
            executable=venv / "bin/python", trees=(venv, base, harness), links=(), path=(root / "work",)
        )

    def test_installed_into_an_environment(self, root: Path) -> None:
        """An installed harness comes with its environment, and needs no path."""
        venv = made(root / "pipx/hyperhive")
        harness = made(venv / "lib/site-packages/harness")
        described = python_of(
            executable=venv / "bin/python",
            prefixes=(venv, Path("/usr")),
            harness=harness,
            packages=[harness.parent, Path("/usr/lib/python3/dist-packages")],
        )
        assert (described.trees, described.path) == ((venv,), ())

    def test_systems_python(self) -> None:
        """A Python of the system, with everything below /usr, needs nothing more."""
        described = python_of(
            executable=Path("/usr/bin/python3"),
            prefixes=(Path("/usr"), Path("/usr")),
            harness=Path("/usr/lib/python3/dist-packages/harness"),
            packages=[Path("/usr/lib/python3/dist-packages")],
        )
        assert (described.trees, described.path) == ((), ())

    def test_users_packages(self, root: Path) -> None:
        """Packages of the user's own directory are shown and found."""
        packages = made(root / "home/.local/lib/python3.11/site-packages")
        described = python_of(
            executable=Path("/usr/bin/python3"),
            prefixes=(Path("/usr"), Path("/usr")),
            harness=made(packages / "harness"),
            packages=[packages],
        )
        assert (described.trees, described.path) == ((packages,), (packages,))

    def test_linked_installation(self, root: Path) -> None:
        """A Python that is reached through links is shown where it really is, with the links that lead there."""
        real = made(root / "share/cpython-3.12.12")
        (root / "share/cpython-3.12").symlink_to("cpython-3.12.12")
        base = root / "share/cpython-3.12"
        venv = made(root / "venv")
        made(venv / "bin")
        (venv / "bin/python").symlink_to(base / "bin/python3.12")
        described = python_of(
            executable=venv / "bin/python", prefixes=(venv, base), harness=made(venv / "harness"), packages=[]
        )
        assert described.trees == (venv, real)
        assert described.links == ((root / "share/cpython-3.12", "cpython-3.12.12"),)

    def test_nested(self, root: Path) -> None:
        """A tree inside another one is not shown twice."""
        base = made(root / "python")
        venv = made(base / "venv")
        described = python_of(
            executable=venv / "bin/python", prefixes=(venv, base), harness=made(venv / "harness"), packages=[]
        )
        assert described.trees == (base,)


class TestResolve:
    """Links on the way."""

    def test_as_the_kernel(self, root: Path) -> None:
        """The end is where the kernel comes out, and each link is noted at its own real place."""
        made(root / "a/b/c")
        (root / "a/up").symlink_to("..")
        (root / "first").symlink_to(root / "a/up/second")
        (root / "second").symlink_to("a/b")
        links: dict[Path, str] = {}
        end = resolve(root / "first/c", links)
        assert end == (root / "first/c").resolve()
        assert links == {root / "first": f"{root}/a/up/second", root / "a/up": "..", root / "second": "a/b"}

    def test_circle(self, root: Path) -> None:
        """Links that lead nowhere are an error, not an endless walk."""
        (root / "one").symlink_to("two")
        (root / "two").symlink_to("one")
        with pytest.raises(OSError, match="one leads through"):
            resolve(root / "one", {})
