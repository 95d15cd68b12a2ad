"""`make bench`: every measurement in this folder, one after the other; `make soak`: the long one alone."""

import subprocess
import sys
from pathlib import Path

LONG = {"soak"}


def main() -> int:
    """Run the named ones, or all but the long; the exit code tells whether each kept its promises."""
    found = {path.stem: path for path in sorted(Path(__file__).parent.glob("*.py")) if not path.stem.startswith("_")}
    names = sys.argv[1:] or [name for name in found if name not in LONG]
    unknown = [name for name in names if name not in found]
    if unknown or not names:
        print(f"bench: no {', '.join(unknown) or 'measurement'} here; there is {', '.join(found) or 'none yet'}")
        return 1
    failed = [name for name in names if not passes(name)]
    print(f"bench: {len(names) - len(failed)} kept their promises, {len(failed)} did not {' '.join(failed)}".rstrip())
    return 1 if failed else 0


def passes(name: str) -> bool:
    """Whether one measurement ended well; it prints its own figures."""
    print(f"bench: {name}", flush=True)
    return subprocess.call([sys.executable, "-m", f"bench.{name}"]) == 0


if __name__ == "__main__":
    sys.exit(main())
