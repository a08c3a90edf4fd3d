"""``python -m services.client --url http://…``."""

import sys

from services.client import main

sys.exit(main())
