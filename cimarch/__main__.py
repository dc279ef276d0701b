"""`python -m cimarch` is the command `cimarch`."""

import sys

from cimarch.cli import main

sys.exit(main())
