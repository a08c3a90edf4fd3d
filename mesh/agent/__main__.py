"""``python -m mesh.agent``: settings come from the environment (see ``mesh.agent.settings``)."""

import os
import sys

from mesh.agent import main

if __name__ == "__main__":
    sys.exit(main(os.environ))
