"""Read the configuration: defaults, then hyperhive.toml, then the environment, then flags; later wins."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import attrs

from hyperhive.config.rules import ConfigError, Refused, Rule, looks_secret, shown
from hyperhive.config.sections import KEYS, SECTIONS, Config, variable

FILE_NAME = "hyperhive.toml"
LOCATIONS = frozenset({"HYPERHIVE_CONFIG", "HYPERHIVE_DATA_DIR", "HYPERHIVE_RUN_DIR"})
"""Variables that say where things are and are read before any configuration."""
_MAX_FILE_BYTES = 1_048_576
_SECRET_WORDS = ("api_key", "token", "secret", "password")


@attrs.frozen(kw_only=True)
class Setting:
    """One value as one source gives it; ``source`` is how a message names it there, ``origin`` how it is listed."""

    key: str
    value: object
    source: str
    origin: str
    base: Path


def load(*sources: Iterable[Setting]) -> Config:
    """Fold the sources over the defaults; raises `ConfigError` at the first value that would be wrong, used or not."""
    values: dict[str, object] = {}
    origins: dict[str, str] = {}
    for source in sources:
        for setting in source:
            values[setting.key] = _accepted(setting)
            origins[setting.key] = setting.origin
    sections = {
        section: cls(**{name.partition(".")[2]: values[name] for name in values if name.startswith(f"{section}.")})
        for section, cls in SECTIONS.items()
    }
    top = {name: value for name, value in values.items() if "." not in name}
    return Config(**top, **sections, origins=MappingProxyType(origins))  # type: ignore[arg-type]


def from_file(file: Path, *, required: bool) -> Iterator[Setting]:
    """Read a TOML file; one that is absent says nothing, unless it is ``required``."""
    for name, value in _read_toml(file, required=required).items():
        if name in SECTIONS:
            if not isinstance(value, dict):
                raise ConfigError(
                    f"{file}: {name} is {shown(value)}; it is a section: write [{name}] and its keys below"
                )
            for inner, part in value.items():
                yield _file_setting(file, f"{name}.{inner}", part)
        else:
            yield _file_setting(file, name, value)


def from_environment(environment: Mapping[str, str], base: Path) -> Iterator[Setting]:
    """Read ``HYPERHIVE_SECTION_KEY``; another name that begins with HYPERHIVE_ is an error, because it is a typo."""
    names = {variable(name): name for name in KEYS}
    for found in sorted(environment):
        if not found.startswith("HYPERHIVE_") or found in LOCATIONS:
            continue
        if found not in names:
            closest = _closest(found, [*names, *LOCATIONS])
            raise ConfigError(f"environment: no setting is named {found}{closest}")
        name = names[found]
        yield _text_setting(name, environment[found], source=f"environment {found}", base=base)


def from_flags(flags: Mapping[str, tuple[str, str]], base: Path) -> Iterator[Setting]:
    """Read what the command line set: dotted key → (text, the flag as it was typed)."""
    for name, (text, typed) in flags.items():
        if name not in KEYS:
            raise ConfigError(f"{typed}: {_unknown(name)}")
        yield _text_setting(name, text, source=typed, base=base)


def _read_toml(file: Path, *, required: bool) -> dict[str, object]:
    try:
        with file.open("rb") as opened:
            content = opened.read(_MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        if required:
            raise ConfigError(f"{file}: no such file; --config names a TOML file that exists") from None
        return {}
    except OSError as error:
        raise ConfigError(
            f"{file}: cannot be read: {error.strerror}; it is a TOML file that this user may read"
        ) from None
    if len(content) > _MAX_FILE_BYTES:
        raise ConfigError(f"{file}: larger than {_MAX_FILE_BYTES} bytes, so it is no configuration")
    try:
        return tomllib.loads(content.decode())
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not UTF-8 at byte {error.start}") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{file}: not TOML: {error}") from None


def _file_setting(file: Path, name: str, value: object) -> Setting:
    if name not in KEYS:
        raise ConfigError(f"{file}: {_unknown(name)}")
    return Setting(key=name, value=value, source=f"{file}: {name}", origin=str(file), base=file.absolute().parent)


def _text_setting(name: str, text: str, *, source: str, base: Path) -> Setting:
    rule: Rule = KEYS[name].metadata["rule"]
    return Setting(key=name, value=rule.from_text(text), source=source, origin=source, base=base)


def _accepted(setting: Setting) -> object:
    rule: Rule = KEYS[setting.key].metadata["rule"]
    if looks_secret(setting.value):
        raise ConfigError(f"{setting.source}: is a secret, and the configuration is no place for one; {_FOR_SECRETS}")
    try:
        return rule.accept(setting.value, setting.base)
    except Refused as refused:
        detail = f": {refused}" if refused.args else ""
        raise ConfigError(f"{setting.source} is {shown(setting.value)}{detail}; right would be {rule.right}") from None


_FOR_SECRETS = "write it into a file of mode 0600 and name that file in claude.credentials_file"


def _unknown(name: str) -> str:
    if any(word in name.lower() for word in _SECRET_WORDS):
        return f"no key is named {name}, and secrets do not stand here; {_FOR_SECRETS}"
    if name.partition(".")[0] in SECTIONS and "." in name:
        known = [other for other in KEYS if other.startswith(name.partition(".")[0] + ".")]
    else:
        known = [*(other for other in KEYS if "." not in other), *SECTIONS]
    # A key in the wrong section is the other common slip.
    elsewhere = [other for other in KEYS if other.rpartition(".")[2] == name.rpartition(".")[2]]
    closest = f"; did you mean {elsewhere[0]}?" if elsewhere else _closest(name, known)
    return f"no key is named {name}{closest}"


def _closest(name: str, known: Iterable[str]) -> str:
    # The cutoff 0 makes even a far match the answer: the message always names one.
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.0)
    return f"; did you mean {near[0]}?"
