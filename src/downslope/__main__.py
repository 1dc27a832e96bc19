"""Let `python -m downslope` be the command line."""

from downslope.cli import main

main()
