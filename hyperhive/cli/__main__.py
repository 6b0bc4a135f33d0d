"""Run the CLI from a checkout: ``python -m hyperhive.cli``."""

from hyperhive.cli.main import main

main()
