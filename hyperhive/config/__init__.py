"""What the operator may set: values with their origin, directories, credentials."""

from hyperhive.config.credentials import CredentialsError, load_credentials
from hyperhive.config.directories import Directories, DirectoryError
from hyperhive.config.load import from_environment, from_file, from_flags, load
from hyperhive.config.locate import locate
from hyperhive.config.rules import ConfigError
from hyperhive.config.sections import Claude, Config, CrashWatch, Limits, Log, Retention

__all__ = [
    "Claude",
    "Config",
    "ConfigError",
    "CrashWatch",
    "CredentialsError",
    "Directories",
    "DirectoryError",
    "Limits",
    "Log",
    "Retention",
    "from_environment",
    "from_file",
    "from_flags",
    "load",
    "load_credentials",
    "locate",
]
