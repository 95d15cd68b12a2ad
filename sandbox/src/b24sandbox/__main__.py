"""`b24sandbox`, or `python -m b24sandbox`: serve until told to stop, and print one JSON line when ready."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from b24sandbox.standin import StandIn


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="b24sandbox", description="A stand-in for Bitrix24 on loopback.")
    parser.add_argument("--port", type=int, default=0, help="first port; the next few are used too (0: any free ones)")
    parser.add_argument("--portals", type=int, default=2, choices=range(1, 1001), metavar="N", help="how many portals")
    parser.add_argument(
        "--tls", type=Path, metavar="DIR", help="serve https; the authority to trust is written to DIR/ca.pem"
    )
    parser.add_argument("--scale", type=float, default=1.0, help="portal seconds in one real second")
    parser.add_argument("--state", type=Path, metavar="FILE", help="keep the portals' data in this file between starts")
    parser.add_argument("--app-url", default="http://127.0.0.1:8100", help="the application's address")
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    done = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: done.set())
    try:
        standin = StandIn.start(asked.port, asked.app_url, asked.portals, asked.tls, asked.scale, asked.state)
    except OSError as error:
        print(f"The stand-in cannot listen: {error}. Choose another --port.", file=sys.stderr)
        return 1
    print(json.dumps(standin.described()), flush=True)
    done.wait()
    standin.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
