"""Diagnostics stay one line each."""

from __future__ import annotations

import pytest

from harness.log import log


class TestLog:
    def test_is_one_line_of_pairs(self, capsys: pytest.CaptureFixture[str]) -> None:
        """A value with spaces, quotes or line breaks is quoted, so that it forges no other pair or line."""
        log("host_away", error='a "b"\nat=now event=forged', pid=7)
        line = capsys.readouterr().err
        assert line.count("\n") == 1
        assert line.endswith(' event=host_away error="a \\"b\\"\\nat=now event=forged" pid=7\n')
