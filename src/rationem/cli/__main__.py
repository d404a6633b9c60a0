"""``python -m rationem.cli``: the command line."""

import sys

from rationem.cli.main import main

sys.exit(main())
