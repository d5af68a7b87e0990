"""Go's binding over a server: its test with the tag larder_targets, run with the library that opens servers.

    go.py GO
"""
import os
import subprocess
import sys

from servers import HERE, larder_with_port, redis


def main():
    library = os.path.dirname(os.environ["LARDER_LIBRARY"])
    for server in (larder_with_port(), redis()):
        with server:
            # The binding links the library of `make build`; what the loader finds first is this one.
            where = {"LD_LIBRARY_PATH": library, "LARDER_TARGET": "unix:" + server.path}
            command = [sys.argv[1], "test", "-count=1", "-tags", "larder_targets", "-run", "TestAServerIsOpenedLikeADirectory", "."]
            subprocess.run(command, cwd=os.path.join(HERE, "../../bindings/go"), env={**os.environ, **where}, check=True, timeout=300)


if __name__ == "__main__":
    main()
