"""`python -m msae` is the `msae` command."""

from msae.cli import main

main()
