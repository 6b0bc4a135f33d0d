"""`agent.toml`: every key, and every way to get it wrong, with its line."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive.events.configurations import AgentSettings, McpServer
from hyperhive.proposals.agent_toml import KEYS, MCP_KEYS, BadAgentToml, confinement, parse, template, written
from hyperhive.runtimes.confinement import Egress, EgressPolicy, Limits

WHOLE = """\
model = "opus"
prompt = '''
You review code.
'''
questions = true
recipients = ["operator", "coder"]

[environment]
TZ = "Europe/Zurich"

[mcp.weather]
command = "python3"
args = ["{config}/weather.py", "--metric"]
environment = { UNITS = "metric" }

[limits]
memory_mb = 2048
cpu_percent = 150
tasks = 512
turn_seconds = 1800
usd_per_day = 5

[egress]
policy = "allowlist"
hosts = ["docs.example.org", "*.example.net:80"]
"""


def test_every_key() -> None:
    """A file with every key gives what it says."""
    assert parse(WHOLE.encode()) == AgentSettings(
        model="opus",
        prompt="You review code.\n",
        questions=True,
        recipients=("operator", "coder"),
        environment=(("TZ", "Europe/Zurich"),),
        mcp=(
            McpServer(
                name="weather",
                command="python3",
                args=("{config}/weather.py", "--metric"),
                environment=(("UNITS", "metric"),),
            ),
        ),
        memory_mb=2048,
        cpu_percent=150,
        tasks=512,
        turn_seconds=1800,
        usd_per_day=5.0,
        egress="allowlist",
        hosts=("docs.example.org", "*.example.net:80"),
    )
    for key in (*KEYS, *MCP_KEYS):
        assert key.rpartition(".")[2] in WHOLE


def test_confinement() -> None:
    """Limits and network policy are what a container's spec takes; without a policy the hive's own holds."""
    assert confinement(parse(WHOLE.encode())) == (
        Limits(memory_bytes=2 << 30, cpu_percent=150, tasks=512),
        Egress(policy=EgressPolicy.ALLOWLIST, hosts=("docs.example.org", "*.example.net:80")),
    )
    assert confinement(AgentSettings()) == (Limits(), None)


@pytest.mark.parametrize("text", ["", "# nothing\n", template()])
def test_says_nothing(text: str) -> None:
    """An empty file, and the one that a new agent gets, say nothing."""
    assert parse(text.encode()) == AgentSettings()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("modle = 'opus'", "line 1: no key is named modle; did you mean model?"),
        ("\n\n[limits]\nmemory = 5", "line 4: no key is named limits.memory; did you mean limits.memory_mb?"),
        ("[limit]\nmemory_mb = 5", "line 1: no key is named limit"),
        ("[mcp.x]\ncommand = 'x'\nargz = []", "line 3: no key is named mcp.x.argz; did you mean mcp.x.args?"),
        ("model = 5", "line 1: model is 5; right would be the name of a model"),
        ("model = '--help'", "model is '--help'"),
        ("model = ''", "model is ''"),
        ("questions = 1", "right would be true or false"),
        ("recipients = 'all'", "recipients is 'all'"),
        ("recipients = ['Coder']", "a list of agents' names"),
        ("recipients = ['a', 'a']", "each once"),
        ("prompt = 5", "right would be text"),
        ("[limits]\n\n# so much\ntasks = true", "line 4: limits.tasks is True"),
        ("limits.tasks = 1", "line 1: limits.tasks is 1; right would be a whole number from 16"),
        ("limits = 5", "line 1: limits is a section; write [limits]"),
        ("[limits]\nusd_per_day = 0", "a number of dollars above 0"),
        ("[limits]\nusd_per_day = nan", "a number of dollars above 0"),
        ("[limits]\nusd_per_day = inf", "a number of dollars above 0"),
        ("[egress]\npolicy = 'all'", "one of none, allowlist, host"),
        ("[egress]\npolicy = ['none']", "one of none, allowlist, host"),
        ("[egress]\nhosts = ['x.org']", "line 2: hosts without a policy"),
        ("[egress]\npolicy = 'allowlist'\nhosts = ['http://x']", "line 3: 'http://x' is not a host"),
        ("[egress]\npolicy = 'none'\nhosts = ['x.org']", "hosts are allowed with egress"),
        ("[environment]\nHYPERHIVE_AGENT = 'x'", "line 1: environment is .*HYPERHIVE_AGENT is the host's own"),
        ("[environment]\nLD_PRELOAD = 'x'", "LD_PRELOAD is the host's own"),
        ("[environment]\nPATH = 'x'", "PATH is the host's own"),
        ("[environment]\nANTHROPIC_API_KEY = 'x'", "ANTHROPIC_API_KEY is the host's own"),
        ("[environment]\nhttps_proxy = 'x'", "https_proxy is the host's own"),
        ("[environment]\nKEY = 'sk-ant-api03-x'", "KEY is a secret"),
        ("[environment]\n'A B' = 'x'", "environment is"),
        ("[environment]\nA = 5", "environment is"),
        ("mcp = 5", "mcp is made of tables"),
        ("[mcp]\nx = 5", "mcp is made of tables"),
        ("[mcp.x]", "line 1: mcp.x has no command"),
        ("[mcp.hive]\ncommand = 'x'", "'hive' cannot be the name of a tool server"),
        ("[mcp.'a b']\ncommand = 'x'", "'a b' cannot be the name"),
        ("[mcp.x]\ncommand = ''", "mcp.x.command is ''"),
        ("[mcp.x]\ncommand = 'x'\nargs = [5]", "line 3: mcp.x.args is"),
        ("mcp.x = { command = 5 }", "line 1: mcp.x.command is 5"),
        ("x = ", "not TOML: Invalid value"),
        ("a = 1\na = 2", "not TOML: Cannot overwrite a value"),
        ("a = " + "[" * 5_000, "not TOML"),
    ],
)
def test_wrong(text: str, says: str) -> None:
    """What is wrong is named with its line and what would be right."""
    with pytest.raises(BadAgentToml, match=f"^agent.toml.*{re.escape(says) if '.*' not in says else says}"):
        parse(text.encode())


def test_not_text() -> None:
    """A byte that is no UTF-8 is named with its line."""
    with pytest.raises(BadAgentToml, match=r"agent\.toml line 2: not UTF-8"):
        parse(b"# x\n\xff")


@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_anything(content: bytes) -> None:
    """Whatever stands in the file, it is read or refused."""
    with contextlib.suppress(BadAgentToml):
        assert isinstance(parse(content), AgentSettings)


def test_documented() -> None:
    """The page for who writes agents explains every key, and its example is a file that can be used."""
    page = (Path(__file__).parents[2] / "docs/agent-author.md").read_text()
    for key in KEYS:
        assert f"`{key}`" in page, key
    (example,) = re.findall(r"```toml\n(model = .*?)```", page, re.DOTALL)
    assert parse(example.encode()) != AgentSettings()


@given(prompt=st.text(max_size=40) | st.text(alphabet='ab"\\\n\r\t\x00\x7f\x85 é🐝', max_size=40))
def test_what_is_filled_in_is_what_is_read(prompt: str) -> None:
    """Whatever somebody writes into a form's field is what the file says, whatever signs are in it."""
    settings = parse(written(model=" opus ", prompt=prompt).encode())
    assert (settings.model, settings.prompt or "") == ("opus", prompt.replace("\r\n", "\n").strip())


def test_nothing_filled_in_is_no_file() -> None:
    """Empty fields say nothing."""
    assert written(model=" ", prompt="\r\n") == ""
