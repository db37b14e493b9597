"""`python -m ocdsup` is `ocdsup`."""

import sys

from ocdsup.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
