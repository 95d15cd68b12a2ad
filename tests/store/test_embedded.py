"""The embedded PostgreSQL: who starts it, who stops it, and what a killed holder leaves behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from b24app.store import embedded
from b24app.store.programs import EmbeddedError, program
from tests.processes import wait_until

pytestmark = pytest.mark.process

HOLDER = """
import sys
from pathlib import Path
from b24app.store import embedded
print(embedded.start(Path(sys.argv[1]), fsync=False).url, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("embedded") / "postgres"
    yield folder
    embedded.remove(folder)


@pytest.fixture
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the server; its first line of output is the address."""
    command = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def ask(url: str, question: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(question.encode()).fetchone()
    return row[0] if row else None


def postmaster(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().split()[0])


def gone(pid: int) -> bool:
    """No such process, or a dead one that nobody has buried: some containers have no init that would."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_it_starts_answers_in_utf8_and_utc_and_stops(folder: Path) -> None:
    with embedded.start(folder, fsync=False) as server:
        assert ask(server.url, "SELECT lower('ÄЖ') || current_setting('timezone')") == "äжUTC"
        assert ask(server.url, "SHOW fsync") == "off"

    with pytest.raises(psycopg.OperationalError):
        ask(server.url, "SELECT 1")


def test_data_is_kept_between_starts(folder: Path) -> None:
    with embedded.start(folder, fsync=False) as server, psycopg.connect(server.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")

    with embedded.start(folder) as server:
        assert ask(server.url, "SELECT number FROM kept") == 7
        assert ask(server.url, "SHOW fsync") == "on"


def test_the_last_holder_stops_it(folder: Path, holder: subprocess.Popen[str]) -> None:
    assert holder.stdout
    url = holder.stdout.readline().strip()
    with embedded.start(folder, fsync=False) as server:
        assert server.url == url

    assert ask(url, "SELECT 1") == 1

    holder.communicate("", timeout=60)
    with pytest.raises(psycopg.OperationalError):
        ask(url, "SELECT 1")


def test_a_server_left_by_a_killed_holder_is_replaced(folder: Path, holder: subprocess.Popen[str]) -> None:
    assert holder.stdout
    url = holder.stdout.readline().strip()
    left_over = postmaster(folder)
    holder.send_signal(signal.SIGKILL)
    holder.wait(timeout=10)
    assert ask(url, "SELECT 1") == 1

    with embedded.start(folder, fsync=False) as server:
        assert postmaster(folder) != left_over
        assert ask(server.url, "SELECT 1") == 1

    assert gone(left_over)


def test_a_server_that_was_killed_is_started_again_for_its_holder(folder: Path) -> None:
    with embedded.start(folder, fsync=False) as server:
        assert not server.restart_if_dead()
        victim = postmaster(folder)
        os.kill(victim, signal.SIGQUIT)
        wait_until(lambda: gone(victim))

        assert server.restart_if_dead()

        assert ask(server.url, "SELECT 1") == 1


def test_a_number_in_an_old_pid_file_is_not_taken_for_a_server(folder: Path) -> None:
    embedded.start(folder, fsync=False).stop()
    (folder / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n")

    with embedded.start(folder, fsync=False) as server:
        assert ask(server.url, "SELECT 1") == 1


def test_it_is_not_removed_under_a_holder(folder: Path) -> None:
    with embedded.start(folder, fsync=False), pytest.raises(EmbeddedError, match="in use"):
        embedded.remove(folder)


def test_a_folder_of_another_version_says_how_to_start_afresh(folder: Path) -> None:
    embedded.start(folder, fsync=False).stop()
    version = folder / "data" / "PG_VERSION"
    kept = version.read_text()
    version.write_text("9\n")

    with pytest.raises(EmbeddedError, match="RESET=1"):
        embedded.start(folder)

    version.write_text(kept)


def test_no_mode_of_a_folder_above_is_changed(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    above = {path: path.stat().st_mode for path in (*closed.parents, *Path(sys.executable).parents, closed)}

    with embedded.start(closed / "postgres", fsync=False) as server:
        assert ask(server.url, "SELECT 1") == 1
    embedded.remove(closed / "postgres")

    assert {path: path.stat().st_mode for path in above} == above
    assert list(closed.iterdir()) == []


def test_a_long_folder_name_still_gets_a_socket(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 25) / "postgres"

    with embedded.start(folder, fsync=False) as server:
        assert ask(server.url, "SELECT 1") == 1

    embedded.remove(folder)


def test_tools_of_the_same_version_come_along() -> None:
    answer = subprocess.run([program("pg_dump"), "--version"], capture_output=True, text=True, check=True)

    assert "(PostgreSQL) 18" in answer.stdout
