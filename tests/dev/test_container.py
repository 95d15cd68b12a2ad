"""The image and what starts it: kept true without building it. `make container` builds it and tries it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RECIPE = (ROOT / "Containerfile").read_text(encoding="utf-8")
COMPOSE = (ROOT / "compose.yaml").read_text(encoding="utf-8")
PROXY = ROOT / "deploy" / "nginx.conf"
PROCFILE = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
STAGES = re.split(r"^FROM .*$", RECIPE, flags=re.MULTILINE)[1:]


def services() -> dict[str, str]:
    """What compose.yaml starts, with the text of each."""
    body = COMPOSE.partition("\nservices:\n")[2].partition("\nvolumes:")[0]
    parts = re.split(r"^  (\w+):$", body, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_the_image_has_a_base_of_choice_no_tools_and_does_not_run_as_root():
    assert len(re.findall(r"^FROM \$\{BASE\}", RECIPE, re.MULTILINE)) == len(STAGES) == 2
    assert "requirements.txt" in STAGES[0]
    assert "--require-hashes" in STAGES[0]
    assert "requirements-dev" not in RECIPE
    final = STAGES[1]
    assert not re.search(r"\b(pip|npm|node|RUN)\b", final)
    assert re.search(r"^USER (?!0)\d+:\d+$", final, re.MULTILINE)
    assert "/healthz" in final.partition("HEALTHCHECK")[2]
    assert "STOPSIGNAL SIGTERM" in final


def test_what_the_image_copies_is_there_and_let_in():
    let_in = {line[1:] for line in (ROOT / ".containerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        name
        for line in re.findall(r"^COPY (?!--from)(.+)$", RECIPE, re.MULTILINE)
        for name in line.split()[:-1]
    }  # fmt: skip

    assert copied == let_in
    assert {name for name in copied if not (ROOT / name).exists()} == set()


def test_the_processes_are_those_of_the_procfile():
    started = services()

    assert set(started) == {"db", "release", "web", "worker", "proxy"}
    for name, command in PROCFILE.items():
        words = re.search(r"^    command: \[(.+)\]$", started[name], re.MULTILINE)
        assert words
        assert re.findall(r'"([^"]+)"', words[1]) == command.split()
    assert "stop_grace_period: 80s" in COMPOSE, "longer than the 75 s a batch in flight may take"


def test_who_serves_waits_for_the_migrations_and_they_for_the_database():
    started = services()

    assert "db: {condition: service_healthy}" in started["release"]
    for name in ("web", "worker"):
        assert "release: {condition: service_completed_successfully}" in started[name]
    assert "web: {condition: service_healthy}" in started["proxy"]
    assert [name for name, text in started.items() if "ports:" in text] == ["proxy"]


@pytest.mark.process
def test_the_proxy_takes_its_settings(tmp_path: Path):
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        pytest.skip("no nginx on this machine: Debian's package `nginx-light`")
    certificate = (
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
        f" -keyout {tmp_path}/privkey.pem -out {tmp_path}/fullchain.pem"
    )
    subprocess.run(certificate.split(), check=True, capture_output=True)
    site = PROXY.read_text().replace("/etc/nginx/tls", str(tmp_path)).replace("http://web:", "http://127.0.0.1:")
    version = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=True).stderr
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < (1, 25):  # the directive is newer
        site = site.replace("    http2 on;\n", "")
    (tmp_path / "site.conf").write_text(site)
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/pid;\nevents {{}}\nhttp {{ include {tmp_path}/site.conf; }}\n"
    )

    done = subprocess.run([nginx, "-t", "-c", tmp_path / "nginx.conf"], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


@pytest.mark.process
def test_a_machine_that_cannot_build_it_says_so_in_one_line(tmp_path: Path):
    nothing = {"PATH": str(tmp_path), "PYTHONPATH": f"{ROOT}/sandbox/src:{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-m", "dev.container"], cwd=ROOT, env=nothing, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "container: neither buildah nor podman on this machine, so there is nothing to build the image with"
    ]
