"""Images of systems: a directory as it is, a tarball laid out once, and clear words where it is neither."""

from __future__ import annotations

import asyncio
import io
import os
import sys
import tarfile
from pathlib import Path

import pytest

from hyperhive.runtimes import systems
from hyperhive.runtimes.systems import BadImage, check, root_of
from tests.runtimes.test_trees import inside

SYSTEMD = "usr/lib/systemd/systemd"
PYTHON = str(Path(sys.executable).resolve())
FILES = {SYSTEMD: b"", PYTHON.removeprefix("/"): b"", "etc/mark": b"of its own"}


def packed(path: Path, files: dict[str, bytes], *members: tarfile.TarInfo, owner: int = 0) -> Path:
    """Pack a tarball, of files and then of other members."""
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content)
            member.uid = member.gid = owner
            # There is such a user here, with another number: names do not count.
            member.uname = member.gname = "daemon"
            archive.addfile(member, io.BytesIO(content))
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def member(name: str, kind: bytes, **values: object) -> tarfile.TarInfo:
    """Return a member of a tarball that is no plain file."""
    made = tarfile.TarInfo(name)
    made.type = kind
    for field, value in values.items():
        setattr(made, field, value)
    return made


def laid(image: Path, place: Path) -> Path:
    """Return an image's root."""
    return asyncio.run(root_of(image, place))


class TestTarball:
    """A tarball."""

    def test_once_for_each_content(self, tmp_path: Path) -> None:
        """The same content is the same tree, under whatever name; another one is another, and the first stays."""
        place = tmp_path / "images"
        first = laid(packed(tmp_path / "a.tar", FILES), place)
        (first / "laid-out-once").touch()
        assert laid((tmp_path / "a.tar").rename(tmp_path / "b.tar"), place) == first
        assert (first / "laid-out-once").exists()
        (tmp_path / "link.tar").symlink_to(packed(tmp_path / "c.tar.gz", {**FILES, "etc/mark": b"another"}))
        second = laid(tmp_path / "link.tar", place)
        assert [(root / "etc/mark").read_text() for root in (first, second)] == ["of its own", "another"]
        assert inside(place) == {first.name, second.name}

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
    def test_owners_and_modes(self, tmp_path: Path) -> None:
        """Owners are the tarball's, by number; modes are kept; nobody else gets into the directory of the trees."""
        tool = member("./usr/bin/tool", tarfile.REGTYPE, uid=1234, gid=77, mode=0o4751)
        root = laid(packed(tmp_path / "a.tar", FILES, tool, owner=4321), tmp_path / "images")
        status = (root / "usr/bin/tool").stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (1234, 77, 0o4751)
        assert (root / "etc/mark").stat().st_uid == 4321
        assert root.parent.stat().st_mode & 0o777 == 0o700

    def test_cut_off(self, tmp_path: Path) -> None:
        """What an unpacking that was cut off has left is never taken for the system, nor part of it."""
        place = tmp_path / "images"
        image = packed(tmp_path / "a.tar", FILES)
        (place / f"{systems._digest(image, place)}.part/etc").mkdir(parents=True)
        (place / f"{systems._digest(image, place)}.part/etc/half").touch()
        root = laid(image, place)
        assert inside(place) == {root.name}
        assert not (root / "etc/half").exists()

    def test_two_at_once(self, tmp_path: Path) -> None:
        """Two who need it at the same time get one tree."""
        image = packed(tmp_path / "a.tar", FILES)

        async def both() -> list[Path]:
            return list(await asyncio.gather(*(root_of(image, tmp_path / "images") for _ in range(2))))

        one, other = asyncio.run(both())
        assert one == other
        assert (one / "etc/mark").read_text() == "of its own"

    def test_nothing_is_written_outside(self, tmp_path: Path) -> None:
        """Links that lead out, and names that climb out, change nothing outside; devices are not made."""
        outside = tmp_path / "outside"
        outside.mkdir()
        hostile = (
            member("./out", tarfile.SYMTYPE, linkname=str(outside)),
            member("./out/through", tarfile.REGTYPE, size=1),
            member("./up", tarfile.SYMTYPE, linkname="../../outside"),
            member("./up/through", tarfile.REGTYPE, size=1),
            member("../../outside/climbed", tarfile.REGTYPE, size=1),
            member(f"{outside}/absolute", tarfile.REGTYPE, size=1),
            member("./dev/disk", tarfile.BLKTYPE, devmajor=8, devminor=0),
        )
        try:
            root = laid(packed(tmp_path / "a.tar", FILES, *hostile), tmp_path / "images")
        except BadImage:
            root = None  # tar may refuse all of it
        assert inside(outside) == set()
        assert root is None or not (root / "dev/disk").exists()
        assert inside(tmp_path) == {"a.tar", "images", "outside"}


class TestRefused:
    """What no machine can be made of."""

    def refusal(self, image: Path, place: Path) -> str:
        """Return the reason; nothing is left of the attempt."""
        with pytest.raises(BadImage) as caught:
            laid(image, place)
        assert not place.exists() or inside(place) == set()
        return str(caught.value)

    def test_nothing(self, tmp_path: Path) -> None:
        """A path that leads nowhere."""
        said = self.refusal(tmp_path / "none.tar", tmp_path / "images")
        assert said.startswith(
            f"nspawn.image is {tmp_path}/none.tar; it has to be a system's root directory or a tarball"
        )

    def test_no_tarball(self, tmp_path: Path) -> None:
        """A file that is something else."""
        (tmp_path / "a.tar").write_bytes(b"nothing of the kind" * 1000)
        assert "a.tar cannot be unpacked; tar said:" in self.refusal(tmp_path / "a.tar", tmp_path / "images")

    def test_truncated(self, tmp_path: Path) -> None:
        """A tarball that ends too early."""
        image = packed(tmp_path / "a.tar", {**FILES, "usr/much": b"x" * 100_000})
        os.truncate(image, 50_000)
        assert "cannot be unpacked" in self.refusal(image, tmp_path / "images")

    def test_no_system(self, tmp_path: Path) -> None:
        """A tarball without systemd in it, or with all of it in a directory."""
        nested = {f"rootfs/{name}": content for name, content in FILES.items()}
        for number, files in enumerate(({"etc/mark": b""}, nested)):
            said = self.refusal(packed(tmp_path / f"{number}.tar", files), tmp_path / "images")
            assert f"{number}.tar holds no systemd" in said
            assert "--include=systemd-sysv" in said

    def test_without_our_python(self, tmp_path: Path) -> None:
        """Where hyperhive's Python is the system's, an image has to have the same one."""
        (tmp_path / SYSTEMD).parent.mkdir(parents=True)
        (tmp_path / SYSTEMD).touch()
        python = Path("/usr/bin/python3.11")
        with pytest.raises(BadImage, match=r"has no /usr/bin/python3\.11, which hyperhive runs on here"):
            check(tmp_path, tmp_path, python)
        check(tmp_path, tmp_path, Path("/opt/python/bin/python3.11"))
        (tmp_path / "usr/bin").mkdir()
        (tmp_path / "usr/bin/python3.11").touch()
        check(tmp_path, tmp_path, python)

    def test_a_directory(self, tmp_path: Path) -> None:
        """A directory is looked at in the same way, and the host's own systemd is not taken for its."""
        (tmp_path / "image").mkdir()
        (tmp_path / "image/usr").symlink_to("/usr")
        with pytest.raises(BadImage, match="holds no systemd"):
            laid(tmp_path / "image", tmp_path / "images")
        assert not (tmp_path / "images").exists()
