"""`make lock`: resolve the dependencies of pyproject.toml anew, for every platform, with hashes.

The files name no index and no folder of the machine that made them: each reader's own pip decides where packages
come from, the hashes decide what they are. The development set is resolved under the production set, so that tests
run what is deployed. The resolver itself is installed on demand, since nothing else needs it.
"""

import subprocess
import sys
from pathlib import Path

BIN = Path(sys.prefix) / "bin"
COMMON = ["--universal", "--python-version", "3.11", "--generate-hashes", "--quiet", "--no-header", "--no-annotate"]
NO_PLACES = ["--no-emit-index-url", "--no-emit-find-links"]


def main() -> None:
    """Write the four lock files; `--upgrade` takes newer versions."""
    subprocess.check_call([sys.executable, "-m", "pip", "install", "--quiet", "uv>=0.7"])
    production = "requirements.txt"
    resolve(["pyproject.toml"], production)
    resolve(["pyproject.toml", "--group", "run", "--constraint", production], "requirements-run.txt")
    resolve(["pyproject.toml", "--group", "dev", "--constraint", production], "requirements-dev.txt")
    resolve(["--group", "node"], "requirements-node.txt")


def resolve(sources: list[str], target: str) -> None:
    """One lock file; what it already pins stays unless `--upgrade` is asked."""
    upgrade = ["--upgrade"] if "--upgrade" in sys.argv else []
    subprocess.check_call([BIN / "uv", "pip", "compile", *sources, *COMMON, *NO_PLACES, *upgrade, "-o", target])


if __name__ == "__main__":
    main()
