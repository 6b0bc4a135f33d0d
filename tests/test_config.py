"""The configuration's own rules: what each key accepts, which source wins, what a mistake is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive.config import Config, ConfigError, from_environment, from_file, from_flags, load
from hyperhive.config.sections import KEYS, SECTIONS, variable
from hyperhive.runtimes.choose import AUTO, NAMES

HERE = Path("/here")


def from_text(tmp_path: Path, text: str) -> Config:
    """Load what a file says."""
    file = tmp_path / "hyperhive.toml"
    file.write_text(text)
    return load(from_file(file, required=True))


def flag(key: str, text: str) -> Any:
    """Load one value as the command line gives it, and return it."""
    return load(from_flags({key: (text, f"--set {key}")}, HERE)).value(key)


class TestDefaults:
    """What holds when nobody says anything."""

    def test_are_what_the_contract_says(self) -> None:
        """Without any source: the documented numbers, each with the origin default."""
        config = load()
        assert config.listen_address == ("127.0.0.1", 7000)
        assert (config.runtime, config.manager, config.claude.idle_seconds) == ("auto", True, 600.0)
        assert (
            config.limits.connections_per_socket,
            config.limits.parallel_actions,
            config.limits.action_seconds,
        ) == (64, 4, 120.0)
        assert attrs.astuple(config.retention) == (30, 7, 2000)
        assert (config.crash_watch.interval_seconds, config.log.level, config.log.format) == (10.0, "info", "auto")
        assert {config.origin(name) for name in KEYS} == {"default"}

    @pytest.mark.parametrize("name", KEYS)
    def test_keep_their_own_rules(self, name: str, tmp_path: Path) -> None:
        """Each default is a value that its own key accepts; unset is the default of what may stay so."""
        default = KEYS[name].default
        if default is not None:
            assert KEYS[name].metadata["rule"].accept(default, tmp_path) == default

    def test_are_frozen(self) -> None:
        """Nobody changes a setting while the hive runs."""
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            load().runtime = "process"  # type: ignore[misc]

    def test_runtimes_are_those_there_are(self) -> None:
        """The key accepts each runtime by name, and auto."""
        assert {flag("runtime", name) for name in (*NAMES, AUTO)} == {*NAMES, AUTO}


class TestSources:
    """Which source wins."""

    def test_later_wins(self, tmp_path: Path) -> None:
        """File, then environment, then flags; what a source is silent about stays."""
        file = tmp_path / "hyperhive.toml"
        file.write_text('[claude]\nmodel = "file"\n[retention]\nstream_days = 1\n[log]\nlevel = "debug"\n')
        config = load(
            from_file(file, required=True),
            from_environment({"HYPERHIVE_CLAUDE_MODEL": "environment", "HYPERHIVE_RETENTION_STREAM_DAYS": "2"}, HERE),
            from_flags({"claude.model": ("flag", "--model")}, HERE),
        )
        assert (config.claude.model, config.retention.stream_days, config.log.level) == ("flag", 2, "debug")
        assert ("--model", "environment HYPERHIVE_RETENTION_STREAM_DAYS", str(file)) == tuple(
            config.origin(name) for name in ("claude.model", "retention.stream_days", "log.level")
        )

    def test_overruled_value_must_be_right_too(self, tmp_path: Path) -> None:
        """A wrong value is an error even where a later source overrules it."""
        file = tmp_path / "hyperhive.toml"
        file.write_text("listen = 1")
        with pytest.raises(ConfigError, match="listen is 1"):
            load(from_file(file, required=True), from_flags({"listen": ("[::1]:1", "--listen")}, HERE))

    def test_variables_are_unambiguous(self) -> None:
        """No two keys share a variable."""
        assert len({variable(name) for name in KEYS}) == len(KEYS)

    def test_places_are_no_settings(self) -> None:
        """The variables that say where things are, and those of others, are left alone."""
        load(from_environment({"HYPERHIVE_DATA_DIR": "/x", "HYPERHIVE_RUN_DIR": "/y", "HIVE": "z"}, HERE))

    def test_absent_file_says_nothing(self, tmp_path: Path) -> None:
        """A file that nobody asked for may be absent; one that was asked for may not."""
        absent = tmp_path / "absent.toml"
        assert load(from_file(absent, required=False)) == Config()
        with pytest.raises(ConfigError, match="no such file"):
            load(from_file(absent, required=True))

    @pytest.mark.parametrize("content", [b"\xff", b"x" * 1_048_577, b"a = " + b"[" * 5000])
    def test_file_that_is_no_configuration(self, tmp_path: Path, content: bytes) -> None:
        """Bytes that are no TOML, or far too many, are refused with the file's name."""
        file = tmp_path / "hyperhive.toml"
        file.write_bytes(content)
        with pytest.raises(ConfigError, match=r"hyperhive\.toml: "):
            load(from_file(file, required=True))


class TestRules:
    """What each kind of key accepts."""

    @pytest.mark.parametrize(
        "good", ["127.0.0.1:7000", "[::1]:0", "localhost:65535", "hive.example.org:80", "0.0.0.0:1"]
    )
    def test_address(self, good: str) -> None:
        """HOST:PORT with a name, an IPv4 address or an IPv6 one in brackets."""
        assert flag("listen", good) == good

    @pytest.mark.parametrize(
        "bad",
        [
            "",
            "7000",
            ":7000",
            "localhost",
            "localhost:",
            "localhost:65536",
            "localhost:-1",
            "::1:7000",
            "[::1]",
            "[1.2.3.4]:1",
            "127.0.0.256:1",
            "a b:1",
            "http://x:1",
            "x:1/",
            "[::g]:1",
            "-x:1",
            "x:\uff11",
        ],
    )
    def test_address_that_is_none(self, bad: str) -> None:
        """Whatever else is refused with an example."""
        with pytest.raises(ConfigError, match="right would be HOST:PORT, such as"):
            flag("listen", bad)

    @given(text=st.text(max_size=30))
    def test_address_never_surprises(self, text: str) -> None:
        """For any text: an address whose parts can be used, or a ConfigError."""
        try:
            host, port = load(from_flags({"listen": (text, "--listen")}, HERE)).listen_address
        except ConfigError:
            return
        assert host
        assert 0 <= port <= 65535

    @pytest.mark.parametrize(
        "bad", ["ftp://x", "https://", "example.org", "https://u:p@x", "http://x:99999", "https://a b"]
    )
    def test_url_that_is_none(self, bad: str) -> None:
        """A base_url is http or https, with a host, without a password."""
        with pytest.raises(ConfigError, match="right would be an address such as https"):
            flag("claude.base_url", bad)

    @pytest.mark.parametrize(("text", "value"), [("true", True), ("0", False), ("Yes", True), ("off", False)])
    def test_flag_from_text(self, text: str, value: bool) -> None:
        """An environment variable says yes or no in the usual words."""
        assert flag("manager", text) is value

    @pytest.mark.parametrize("bad", ["nan", "inf", "0", "-1", "1e9", "ten", ""])
    def test_number_that_is_none(self, bad: str) -> None:
        """A number keeps its bounds; NaN is within none."""
        with pytest.raises(ConfigError, match="right would be a number from 1 to 86400"):
            flag("claude.idle_seconds", bad)

    @pytest.mark.parametrize("bad", ["true", "1.0", '"4"', "[4]", "{}", "2026-01-01"])
    def test_whole_number_that_is_none(self, tmp_path: Path, bad: str) -> None:
        """A TOML value of another type is not bent into one."""
        with pytest.raises(ConfigError, match="right would be a whole number from 1 to 64"):
            from_text(tmp_path, f"[limits]\nparallel_actions = {bad}\n")

    def test_path_is_relative_to_its_file(self, tmp_path: Path) -> None:
        """A relative path starts at the file that names it, or at the working directory for a variable."""
        config = from_text(tmp_path, '[claude]\ncredentials_file = "secrets/key"\npath = "/bin/claude"\n')
        assert (tmp_path / "secrets" / "key", Path("/bin/claude")) == (
            config.claude.credentials_file,
            config.claude.path,
        )
        assert flag("claude.path", "claude") == HERE / "claude"

    @pytest.mark.parametrize("key", [name for name in KEYS if isinstance(KEYS[name].default, str | None)])
    def test_secret_is_never_shown(self, key: str) -> None:
        """A key in the wrong place is refused without being repeated."""
        with pytest.raises(ConfigError, match="no place for one") as caught:
            flag(key, "sk-ant-api03-verysecret")
        assert "verysecret" not in str(caught.value)

    def test_long_value_is_shown_short(self) -> None:
        """A wrong value is shown on one line, and not at length."""
        with pytest.raises(ConfigError) as caught:
            flag("runtime", "x\n" * 10_000)
        assert len(str(caught.value)) < 200
        assert "\n" not in str(caught.value)


class TestUnknownKey:
    """What a mistyped key is told."""

    @given(name=st.text(min_size=1, max_size=20))
    def test_always_names_one_that_exists(self, name: str) -> None:
        """Whatever the key is, the message names it and one that there is."""
        with pytest.raises(ConfigError) as caught:
            load(from_flags({f"x{name}": ("1", "--set")}, HERE))
        told = str(caught.value)
        assert f"no key is named x{name}" in told
        closest = told.rpartition("did you mean ")[2].removesuffix("?")
        assert closest in {*KEYS, *SECTIONS} or "secrets do not stand here" in told
