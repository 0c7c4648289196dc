"""`python -m proxy.workers LINK LISTENER…`: one worker. Started by the fleet alone; the numbers are descriptors."""

import sys

from proxy.workers.worker import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
