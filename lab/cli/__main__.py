"""``python -m lab.cli`` is ``seatrial``."""

from lab.cli import main

main()
