"""Agents' configurations: proposed by the manager, shown to the operator, applied as they were shown."""
