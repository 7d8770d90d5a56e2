"""`python -m engine` is `seedwright`."""

from engine.cli import main

main()
