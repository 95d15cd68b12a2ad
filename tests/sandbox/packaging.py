"""An environment with nothing but what a distribution asks for, made without any registry.

Distributions that are installed here are linked into it one by one, following what each says it requires: whatever a
package forgot to ask for is missing there.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).parents[2]
REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)\s*([^;]*?)\s*(?:;\s*(.*))?$")
SURROUNDINGS = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}


def wheel(folder: Path) -> Path:
    """The stand-in's wheel, built as for a release."""
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    source = folder / "source"
    ignored = {"__pycache__", "build"}
    for path in (ROOT / "sandbox").rglob("*"):
        if path.is_file() and not ignored & set(path.parts) and ".egg-info" not in str(path):
            target = source / path.relative_to(ROOT / "sandbox")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    subprocess.run([*command, str(source)], check=True, timeout=300, env=SURROUNDINGS)
    [made] = folder.glob("b24sandbox-*.whl")
    return made


def empty_environment(folder: Path, made: Path, *others: str) -> Path:
    """A virtual environment with the wheel, what it requires, and `others` with what they require; its Python."""
    venv.create(folder, symlinks=True, with_pip=False)
    python = folder / "bin" / "python"
    site = next(folder.glob("lib/python*/site-packages"))
    command = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        str(made),
    ]
    subprocess.run(command, check=True, timeout=300, env=SURROUNDINGS)
    metadata = next(site.glob("b24sandbox-*.dist-info")) / "METADATA"
    asked = re.findall(r"^Requires-Dist: (.*)$", metadata.read_text(encoding="utf-8"), re.MULTILINE)
    for name in (*(each for each in asked if "extra ==" not in each), *others):
        _link(name, site, set())
    return python


def _link(requirement: str, site: Path, seen: set[str]) -> None:
    """Link one installed distribution and what it requires here; extras and other systems are left out."""
    found = REQUIREMENT.match(requirement.replace("(", "").replace(")", ""))
    assert found is not None, requirement
    name = re.split(r"\[", found[1])[0]
    marker = found[3] or ""
    if name.lower() in seen or "extra" in marker or "win32" in marker or "python_version <" in marker:
        return
    if "python_full_version <" in marker or "platform_python" in marker.replace(
        "platform_python_implementation != ", ""
    ):
        return
    seen.add(name.lower())
    there = distribution(name)
    for top in {Path(str(path)).parts[0] for path in there.files or [] if not str(path).startswith("..")}:
        source, target = Path(str(there.locate_file(top))), site / top
        if top != "__pycache__" and not target.exists() and source.exists():
            target.symlink_to(source)
    for each in there.requires or []:
        _link(each, site, seen)
