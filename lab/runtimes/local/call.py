"""`python -m lab.runtimes.local.call MODULE [arguments …|environment]`: call ``MODULE.main`` in a fresh interpreter."""

import sys

from lab.runtimes.local.birth import run

if __name__ == "__main__":
    module, takes, *arguments = [*sys.argv[1:], ""] if len(sys.argv) == 2 else sys.argv[1:]
    sys.exit(run(module, takes, tuple(arguments) if takes == "arguments" else None))
