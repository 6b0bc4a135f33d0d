"""What an agent tries in order to get out, and which of it a runtime does not keep it from.

One table: the escape suite (tests/runtimes/escape.py) tries every attempt inside each runtime and expects what stands
here, `hyperhive doctor` shows it, and docs/runtimes.md repeats it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

ATTEMPTS: Mapping[str, str] = MappingProxyType(
    {
        "other_state": "read another agent's state",
        "other_socket": "speak on another agent's socket",
        "log": "read the hive's log",
        "host_socket": "speak on host.sock",
        "records": "read what the runtimes note",
        "own_output": "change what was kept of its output",
        "environments": "read other processes' environments",
        "command_lines": "read other processes' command lines",
        "trace": "trace, or read the memory of, a process of the host",
        "signal": "signal a process of the host",
        "mount": "mount a file system",
        "remount": "make a read-only mount writable",
        "device": "make a device",
        "raw_socket": "open a raw socket",
        "packet_socket": "open a packet socket",
        "vsock": "reach the hypervisor by vsock",
        "write_system": "write to the system",
        "write_installation": "write to the installation of hyperhive",
        "user_namespace": "make a user namespace",
        "chroot": "change the root directory",
        "gain_rights": "gain rights by a set-user-id program",
        "capabilities": "use a capability",
        "abstract_socket": "reach an abstract socket of the host",
        "dashboard": "reach a port on the host's loopback, such as the dashboard's",
        "other_port": "reach a port on the host's own address, such as another agent's",
        "direct": "connect to the internet",
        "names": "resolve a name",
        "metadata": "reach the metadata address",
        "kernel_settings": "change a setting of the kernel",
        "kernel_memory": "read the kernel's memory or messages",
        "keyrings": "read keys of the user who runs the daemon",
        "cgroups": "change or make a cgroup",
        "handles": "open files by their handles, past the mounts",
        "kernel_doors": "use bpf, perf, userfaultfd or io_uring",
        "clock": "set the clock",
        "terminal": "type into the daemon's terminal",
        "planted_code": "let code that it planted run in the next harness",
        "planted_shell": "let its own ~/.profile and ~/.bashrc run with its next commands",
        "host_paths": "learn paths of the host from its mounts",
        "host_load": "learn the host's memory, load and kernel",
    }
)
"""Each attempt by its name, in words."""

_PATHS = "the mounts name the directories that they come from"
_SHELL = "Claude's shell is a login shell; they run inside, with no more rights than the agent's commands have"
_LOAD = "/proc shows the whole machine's memory and load; there is one kernel"

ACCEPTED: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "bubblewrap": MappingProxyType({"planted_shell": _SHELL, "host_paths": _PATHS, "host_load": _LOAD}),
        "podman": MappingProxyType({"planted_shell": _SHELL, "host_paths": _PATHS, "host_load": _LOAD}),
        "nspawn": MappingProxyType({"planted_shell": _SHELL, "host_paths": _PATHS, "host_load": _LOAD}),
        "nixos": MappingProxyType(dict.fromkeys(ATTEMPTS, "nobody has tried it on a NixOS host yet")),
        "process": MappingProxyType(
            dict.fromkeys(ATTEMPTS, "nothing keeps an agent from what the daemon's user can do")
        ),
    }
)
"""By runtime: the attempts that it does not refuse, and why. With the host's network (egress = host) the attempts at
the network are open in every runtime."""

ALWAYS = (
    "An agent can send what it knows to the model's API, and to every host that it may reach.",
    "A hole in the kernel that an unprivileged user can use is a way out.",
    "Where the daemon runs as root, agents are root without capabilities to the host's files that they see.",
)
"""What no attempt shows, of every runtime that shares the host's kernel."""
