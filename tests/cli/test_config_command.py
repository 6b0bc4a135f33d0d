"""`hyperhive config` and `serve`'s settings: values with their origin, and what bad ones get."""

from __future__ import annotations

import json
import tomllib

import pytest

from tests.cli.program import Program


def write_config(hyperhive: Program, text: str) -> str:
    """Write the configuration of a data directory and return its path."""
    hyperhive.data.mkdir(exist_ok=True)
    file = hyperhive.data / "hyperhive.toml"
    file.write_text(text)
    return str(file)


class TestPrint:
    """What `config --print` and `--explain` show."""

    def test_says_where_each_value_came_from(self, hyperhive: Program) -> None:
        """Default, file, environment, flag: later wins, and each line names its source."""
        file = write_config(
            hyperhive, 'listen = "127.0.0.1:1"\nruntime = "process"\n[claude]\nmodel = "a"\nidle_seconds = 5\n'
        )
        ended = hyperhive(
            *("config", "--print", "--json", "--set", "claude.model=c"),
            environment={"HYPERHIVE_RUNTIME": "bubblewrap", "HYPERHIVE_CLAUDE_MODEL": "b"},
        )
        document = json.loads(ended.out)
        settings = document["settings"]
        assert {
            "listen": {"value": "127.0.0.1:1", "origin": file},
            "runtime": {"value": "bubblewrap", "origin": "environment HYPERHIVE_RUNTIME"},
            "claude.model": {"value": "c", "origin": "--set claude.model"},
            "claude.idle_seconds": {"value": 5.0, "origin": file},
            "manager": {"value": True, "origin": "default"},
        }.items() <= settings.items()
        assert document["data_dir"] == {"value": str(hyperhive.data), "origin": "environment HYPERHIVE_DATA_DIR"}
        assert document["config_file"] == {"value": file, "exists": True}

    def test_is_a_configuration_itself(self, hyperhive: Program) -> None:
        """What it prints can be written to a file and gives the same values."""
        printed = hyperhive("config", "--set", 'claude.model=o"p\\us', "--set", "log.level=debug").out
        assert tomllib.loads(printed)["log"]["level"] == "debug"
        file = write_config(hyperhive, printed)
        again = hyperhive("config", "--config", file).out
        values = [line.partition(" #")[0] for line in again.splitlines() if not line.startswith("#")]
        assert values == [line.partition(" #")[0] for line in printed.splitlines() if not line.startswith("#")]

    def test_explain_lists_every_key(self, hyperhive: Program) -> None:
        """--explain tells of each key what it is for, what is right, its default, its variable."""
        rows = {row["key"]: row for row in json.loads(hyperhive("config", "--explain", "--json").out)}
        assert set(rows) == set(json.loads(hyperhive("config", "--json").out)["settings"])
        assert rows["limits.parallel_actions"]["right"] == "a whole number from 1 to 64"
        assert "HYPERHIVE_LIMITS_PARALLEL_ACTIONS" in hyperhive("config", "--explain").out


class TestBadConfiguration:
    """What a wrong setting is told, wherever it comes from."""

    @pytest.mark.parametrize("command", [["config"], ["serve"]])
    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("lsten = 1", "no key is named lsten; did you mean listen?"),
            ("[claude]\nmodle = 'x'", "no key is named claude.modle; did you mean claude.model?"),
            ("[limit]\nparallel_actions = 1", "no key is named limit; did you mean limits?"),
            ("model = 'x'", "no key is named model; did you mean claude.model?"),
            ("claude = 3", "claude is 3; it is a section: write [claude] and its keys below"),
            ("manager = 'yes'", "manager is 'yes'; right would be true or false"),
            (
                "[limits]\nparallel_actions = 0",
                "limits.parallel_actions is 0; right would be a whole number from 1 to 64",
            ),
            ("listen = '7000'", "listen is '7000'; right would be HOST:PORT"),
            ("listen = ", "not TOML: "),
            ("[claude]\napi_key = 'sk-ant-api03-verysecret'", "secrets do not stand here"),
            ("[claude]\nmodel = 'sk-ant-api03-verysecret'", "is a secret, and the configuration is no place for one"),
        ],
    )
    def test_is_named_with_what_would_be_right(
        self, hyperhive: Program, command: list[str], text: str, complaint: str
    ) -> None:
        """Whatever is wrong in the file: exit code 2, file, key, what would be right; no secret shown, nothing made."""
        file = write_config(hyperhive, text)
        ended = hyperhive(*command)
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.startswith(f"hyperhive: {file}: ")
        assert complaint in ended.err
        assert "verysecret" not in ended.err
        assert [path.name for path in hyperhive.data.iterdir()] == ["hyperhive.toml"]

    @pytest.mark.parametrize(
        ("name", "value", "complaint"),
        [
            ("HYPERHIVE_LISTN", "x", "no setting is named HYPERHIVE_LISTN; did you mean HYPERHIVE_LISTEN?"),
            ("HYPERHIVE_CLAUDE__MODEL", "x", "did you mean HYPERHIVE_CLAUDE_MODEL?"),
            ("HYPERHIVE_MANAGER", "maybe", "environment HYPERHIVE_MANAGER is 'maybe'; right would be true or false"),
            ("HYPERHIVE_LIMITS_PARALLEL_ACTIONS", "many", "is 'many'; right would be a whole number from 1 to 64"),
        ],
    )
    def test_in_the_environment(self, hyperhive: Program, name: str, value: str, complaint: str) -> None:
        """A variable that is mistyped or holds the wrong thing is named."""
        ended = hyperhive("config", environment={name: value})
        assert (ended.code, complaint in ended.err) == (2, True)

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            (["--set", "claude.modl=x"], "no key is named claude.modl; did you mean claude.model?"),
            (["--set", "claude.model"], "has no '='; write KEY=VALUE"),
            (["--config", "/nonexistent.toml"], "/nonexistent.toml: no such file"),
            (["--config", "/"], "/: cannot be read: Is a directory"),
        ],
    )
    def test_in_the_flags(self, hyperhive: Program, arguments: list[str], complaint: str) -> None:
        """So is a flag, and a file that is not there although it was asked for."""
        ended = hyperhive("config", *arguments)
        assert (ended.code, complaint in ended.err) == (2, True)


class TestServe:
    """What is refused before a daemon is begun."""

    def test_flag_is_named_as_it_was_typed(self, hyperhive: Program) -> None:
        """A wrong --listen is refused by that name before anything is made."""
        ended = hyperhive("serve", "--listen", "nonsense")
        assert (ended.code, hyperhive.data.exists()) == (2, False)
        assert "hyperhive: --listen is 'nonsense'; right would be HOST:PORT" in ended.err

    def test_run_directory_too_long(self, hyperhive: Program) -> None:
        """A run directory that leaves no room for a socket is refused with both numbers and a remedy, and not made."""
        long = hyperhive.home / "a-run-directory-that-is-too-long"
        ended = hyperhive("serve", "--run-dir", str(long))
        assert (ended.code, long.exists(), hyperhive.data.exists()) == (1, False, False)
        assert f"has {len(str(long))} bytes; at most 28 leave room" in ended.err
        assert "--run-dir /tmp/hive" in ended.err

    def test_scenario_that_is_not_there(self, hyperhive: Program) -> None:
        """--rehearse with a file that does not exist is a usage error."""
        ended = hyperhive("serve", "--rehearse", "/nonexistent")
        assert (ended.code, "/nonexistent" in ended.err) == (2, True)
