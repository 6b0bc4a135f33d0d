"""What the operator may set: values with their origin, directories, credentials."""

from hyperhive.config.credentials import BadCredentials, load_credentials
from hyperhive.config.directories import Directories, DirectoryError
from hyperhive.config.load import from_environment, from_file, from_flags, load
from hyperhive.config.locate import locate
from hyperhive.config.rules import ConfigError
from hyperhive.config.sections import (
    ClaudeConfig,
    Config,
    ContainerConfig,
    CrashWatchConfig,
    EgressConfig,
    LimitsConfig,
    LogConfig,
    PortsConfig,
    RetentionConfig,
    WebConfig,
)

__all__ = [
    "BadCredentials",
    "ClaudeConfig",
    "Config",
    "ConfigError",
    "ContainerConfig",
    "CrashWatchConfig",
    "Directories",
    "DirectoryError",
    "EgressConfig",
    "LimitsConfig",
    "LogConfig",
    "PortsConfig",
    "RetentionConfig",
    "WebConfig",
    "from_environment",
    "from_file",
    "from_flags",
    "load",
    "load_credentials",
    "locate",
]
