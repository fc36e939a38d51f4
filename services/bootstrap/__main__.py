"""`python -m services.bootstrap`: the version check comes first, in syntax old Pythons can read."""

import sys

if not (3, 11) <= sys.version_info[:2] <= (3, 13):
    sys.exit(
        "X-Streamer needs Python 3.11, 3.12 or 3.13; this is %d.%d (%s).\n"  # noqa: UP031
        "Install one of them (Debian 12: apt-get install python3 python3-venv) and run\n"
        "  make run PYTHON=python3.11" % (sys.version_info[0], sys.version_info[1], sys.executable)
    )

from services.bootstrap.command import main

if __name__ == "__main__":
    sys.exit(main())
