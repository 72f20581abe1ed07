"""Ray job entry point: `labelmill train` with the same arguments; see cluster/README.md."""

import sys

from labelmill.cli import main

if __name__ == "__main__":
    sys.argv = ["labelmill", "train", *sys.argv[1:]]
    main()
