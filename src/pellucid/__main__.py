"""`python -m pellucid` is the `pellucid` command."""

from pellucid.apps.cli import main

main()
