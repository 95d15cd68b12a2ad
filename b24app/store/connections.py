"""How each connection to the database is made, by whomever: the pool, the job queue, migrations, the clock.

All that a connection is told it is told after connecting. A pooler such as PgBouncer refuses parameters of the start
that it does not know, `options` among them, so the settings that DATABASE_URL carries in `options` (a search_path, say)
are taken out and set like the limits of our own. A pooler that hands connections on after each transaction would hand
the settings on to whoever comes next, lose what we listen for, and leave locks behind: `refuse_transaction_pooling`
finds that out.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

# A frozen process must not hold a row, and who waits for it must outlast it: so the lock's time is the longer one.
LOCK_SECONDS = 15
LIMITS = {"idle_in_transaction_session_timeout": "12s", "lock_timeout": f"{LOCK_SECONDS}s"}
OURS = {"TimeZone": "UTC"}  # whatever DATABASE_URL says
KEEPALIVE = {"keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3, "connect_timeout": 10}
WORD = re.compile(r"(?:\\.|\S)+")
SETTING = re.compile(r"(?:-c\s*|--)([\w.-]+)=(.*)", re.DOTALL)
PROBES = 5


DatabaseError = psycopg.Error  # nobody answers, or says no


class TransactionPooling(Exception):
    """Between us and PostgreSQL is a pooler that gives each transaction another connection."""

    def __init__(self) -> None:
        super().__init__(
            "DATABASE_URL: this is a pooler in transaction mode, with which the app cannot work; "
            "set it to session mode (PgBouncer: pool_mode = session), or give PostgreSQL's own address"
        )


@dataclass(frozen=True)
class Place:
    """A database, and what each connection to it is told."""

    conninfo: str
    settings: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, url: str, name: str) -> "Place":
        """The database of DATABASE_URL; `name` is what PostgreSQL shows as the application's."""
        parts = conninfo_to_dict(url)
        rest, own = _settings(str(parts.pop("options", "") or ""))
        given = {**KEEPALIVE, "application_name": name, **parts, **({"options": rest} if rest else {})}
        return cls(make_conninfo("", **given), {**LIMITS, **own, **OURS})

    @property
    def fingerprint(self) -> str:
        """Tells databases apart, and nothing else of them: no password goes into it."""
        parts = conninfo_to_dict(self.conninfo)
        where = [str(parts.get(name) or "") for name in ("host", "hostaddr", "port", "dbname")]
        return sha256("\0".join(where).encode()).hexdigest()[:12]

    def connect(self, *, autocommit: bool = False) -> psycopg.Connection:
        """A new connection, told. Raises psycopg.Error."""
        connection = psycopg.connect(self.conninfo, autocommit=autocommit)
        try:
            connection.execute(self._orders, self._values)
            connection.commit()
        except BaseException:
            connection.close()
            raise
        return connection

    async def tell(self, connection: psycopg.AsyncConnection) -> None:
        """The same for a connection that the job queue has made."""
        await connection.execute(self._orders, self._values)
        await connection.commit()

    @property
    def _orders(self) -> bytes:
        return b"select " + b", ".join([b"set_config(%s, %s, false)"] * len(self.settings))

    @property
    def _values(self) -> list[str]:
        return [word for pair in self.settings.items() for word in pair]

    def told(self) -> dict[str, tuple[str, str]]:
        """What a connection really has where it differs: name to (wanted, found). Raises psycopg.Error."""
        with self.connect() as connection:
            connection.commit()  # what was set has to outlive a transaction
            found = {name: _shown(connection, name) for name in self.settings}
            wanted = {name: _as_shown(connection, name, value) for name, value in self.settings.items()}
        return {name: (wanted[name], found[name]) for name in wanted if wanted[name] != found[name]}

    def is_pooled(self) -> bool:
        """Whether something between us and PostgreSQL makes connections for us. Raises psycopg.Error."""
        with self.connect(autocommit=True) as connection:
            return _is_pooled(connection)

    def refuse_transaction_pooling(self) -> None:
        """Raises TransactionPooling where a pooler hands connections on after each transaction; else psycopg.Error.

        A pooler has a number of its own for each client, which is not that of PostgreSQL's process. If there is one,
        what one client sets must be seen by that client, and not by the next one that asks.
        """
        with psycopg.connect(self.conninfo, autocommit=True) as one:
            if not _is_pooled(one):
                return
            with psycopg.connect(self.conninfo, autocommit=True) as other:
                for _ in range(PROBES):
                    mark = secrets.token_hex(8)
                    one.execute("select set_config('sundown.mark', %s, false)", [mark])
                    if _mark(other) == mark or _mark(one) != mark:
                        raise TransactionPooling


def _settings(options: str) -> tuple[str, dict[str, str]]:
    """Options of the start as PostgreSQL reads them: what is none of a setting, and the settings by name."""
    words = [re.sub(r"\\(.)", r"\1", word) for word in WORD.findall(options)]
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] == "-c":
            joined[-1] = f"-c {word}"
        else:
            joined.append(word)
    found = [SETTING.fullmatch(word) for word in joined]
    if None in found:  # something we do not know: PostgreSQL will, and a pooler says no
        return options, {}
    return "", {match[1].replace("-", "_"): match[2] for match in found if match}


def _is_pooled(connection: psycopg.Connection) -> bool:
    row = connection.execute("select pg_backend_pid()").fetchone()
    return row is not None and row[0] != connection.info.backend_pid


def _mark(connection: psycopg.Connection) -> str | None:
    row = connection.execute("select current_setting('sundown.mark', true)").fetchone()
    return row[0] if row else None


def _shown(connection: psycopg.Connection, name: str) -> str:
    row = connection.execute("select current_setting(%s)", [name]).fetchone()
    return str(row[0]) if row else ""


def _as_shown(connection: psycopg.Connection, name: str, value: str) -> str:
    """How PostgreSQL writes this value: 15000ms and 15s are one."""
    row = connection.execute("select set_config(%s, %s, true)", [name, value]).fetchone()
    return str(row[0]) if row else ""
