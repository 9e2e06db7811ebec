"""``python -m rat``."""

import sys

from rat.cli import main

sys.exit(main())
