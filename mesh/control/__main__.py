"""``python -m mesh.control --host H --xds-port 15010 --http-port 8080 --state-dir DIR [--config FILE_OR_DIR …]``."""

import sys

from mesh.control import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
