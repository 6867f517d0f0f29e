"""`python -m autoscaler` is the same as the console script."""

import sys

from autoscaler.cli import main

sys.exit(main())
