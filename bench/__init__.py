"""Every speed claim, against its peers, in one run: ``python -m bench [NAME …]``."""
