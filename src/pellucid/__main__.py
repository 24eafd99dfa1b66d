"""`python -m pellucid`, the same as the command `pellucid`."""

from pellucid.apps.cli import main

main()
