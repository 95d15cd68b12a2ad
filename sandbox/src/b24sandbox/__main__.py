"""`b24sandbox`, or `python -m b24sandbox`: serve until told to stop, and print one JSON line when ready."""

from __future__ import annotations

import json
import signal
import sys
import threading

from b24sandbox import options
from b24sandbox.standin import StandIn
from b24sandbox.state.snapshot import StateFileError


def main() -> int:
    done = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: done.set())
    try:
        asked = options.read()
        options.load_methods(asked.methods)
        standin = StandIn.start(
            asked.port,
            portals=asked.portals,
            tls=asked.tls,
            scale=asked.scale,
            state_file=asked.state,
            names=asked.names,
            apps=asked.apps,
        )
    except (options.WrongOption, StateFileError, ValueError) as error:
        print(f"b24sandbox: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"b24sandbox: cannot listen: {error}; choose another --port", file=sys.stderr)
        return 1
    print(json.dumps(standin.described()), flush=True)
    done.wait()
    standin.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
