"""The harness's own version: it is built into containers apart from its host."""

VERSION = "0.1.0"
