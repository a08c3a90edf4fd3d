"""``python -m services.echo``."""

from services.echo import main

main()
