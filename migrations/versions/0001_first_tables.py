"""first tables

Revision ID: 0001
Revises:
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0001"
down_revision: str | Sequence[str] | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "portals",
        sa.Column("member_id", sa.String(length=64), nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("client_endpoint", sa.Text(), nullable=False),
        sa.Column("oauth_server", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("app_version", sa.Integer(), nullable=False),
        sa.Column("application_token_sha256", sa.String(length=64), nullable=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("pages_version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("installed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("bound_to", sa.Text(), nullable=True),
        sa.Column("uninstalled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("to_be_erased", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("suspended_code", sa.Text(), nullable=True),
        sa.Column("paused_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("member_id", name=op.f("pk_portals")),
    )
    op.create_index(op.f("ix_portals_domain"), "portals", ["domain"], unique=False)
    op.create_table(
        "spent",
        sa.Column("mark", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("mark", name=op.f("pk_spent")),
    )
    op.create_index(op.f("ix_spent_expires_at"), "spent", ["expires_at"], unique=False)
    op.create_table(
        "worker_seen",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_worker_seen")),
    )
    op.create_table(
        "paces",
        sa.Column("member_id", sa.String(length=64), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("mean", sa.Double(), nullable=True),
        sa.Column("slowest", sa.Double(), nullable=True),
        sa.Column("operating_each", sa.Double(), nullable=True),
        sa.Column(
            "minutes",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column("reset_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("operating_limit", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["member_id"], ["portals.member_id"], name=op.f("fk_paces_member_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("member_id", "method", name=op.f("pk_paces")),
    )
    op.create_table(
        "api_calls",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("member_id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("params", sa.Text(), nullable=False),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["member_id"], ["portals.member_id"], name=op.f("fk_api_calls_member_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_calls")),
    )
    op.create_index(op.f("ix_api_calls_at"), "api_calls", ["at"], unique=False)
    op.create_index("ix_api_calls_list", "api_calls", ["member_id", "id"], unique=False)
    op.create_table(
        "proofs",
        sa.Column("access_sha256", sa.String(length=64), nullable=False),
        sa.Column("member_id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["member_id"], ["portals.member_id"], name=op.f("fk_proofs_member_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("access_sha256", name=op.f("pk_proofs")),
    )
    op.create_index(op.f("ix_proofs_expires_at"), "proofs", ["expires_at"], unique=False)
    op.create_index(op.f("ix_proofs_member_id"), "proofs", ["member_id"], unique=False)
    op.create_table(
        "runs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.String(length=64), nullable=False),
        sa.Column(
            "action", sa.Enum("unpublish", "publish", name="action", native_enum=False, length=16), nullable=False
        ),
        sa.Column(
            "kind",
            sa.Enum("PAGE", "KNOWLEDGE", "GROUP", "MAINPAGE", name="kind", native_enum=False, length=16),
            nullable=False,
        ),
        sa.Column(
            "state",
            sa.Enum(
                "scheduled",
                "queued",
                "running",
                "waiting",
                "succeeded",
                "partial",
                "failed",
                "cancelled",
                name="runstate",
                native_enum=False,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("at_wall", sa.String(length=32), nullable=True),
        sa.Column("until_wall", sa.String(length=32), nullable=True),
        sa.Column("zone", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_by", sa.BigInteger(), nullable=False),
        sa.Column("created_name", sa.Text(), nullable=False),
        sa.Column("acting_as", sa.BigInteger(), nullable=False),
        sa.Column("acting_name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("problem", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("waiting_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("doubt", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("told_to", postgresql.ARRAY(sa.BigInteger()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("tries", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("step", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("returns_run", sa.Uuid(), nullable=True),
        sa.Column("undoes", sa.Uuid(), nullable=True),
        sa.Column("retries", sa.Uuid(), nullable=True),
        sa.Column("idempotency_key", sa.String(length=255), nullable=True),
        sa.Column("order_sha256", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["member_id"], ["portals.member_id"], name=op.f("fk_runs_member_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.UniqueConstraint("member_id", "created_by", "idempotency_key", name=op.f("uq_runs_member_id")),
    )
    op.create_index("ix_runs_list", "runs", ["member_id", "created_at", "id"], unique=False)
    op.create_index("ix_runs_ended", "runs", ["member_id", "finished_at"], unique=False)
    op.create_index(
        "ix_runs_open",
        "runs",
        ["state", "member_id"],
        unique=False,
        postgresql_where=sa.text("state in ('scheduled','queued','running','waiting')"),
    )
    op.create_index(op.f("ix_runs_returns_run"), "runs", ["returns_run"], unique=False)
    op.create_index(op.f("ix_runs_undoes"), "runs", ["undoes"], unique=False)
    op.create_table(
        "users",
        sa.Column("member_id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("zone", sa.Text(), nullable=True),
        sa.Column("language", sa.String(length=8), server_default="en", nullable=False),
        sa.Column("theme", sa.String(length=8), server_default="light", nullable=False),
        sa.Column("is_admin", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("epoch", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("seen_version", sa.Integer(), nullable=True),
        sa.Column("seen_scope", sa.Text(), nullable=True),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["member_id"], ["portals.member_id"], name=op.f("fk_users_member_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("member_id", "user_id", name=op.f("pk_users")),
    )
    op.create_table(
        "run_items",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("lid", sa.BigInteger(), nullable=False),
        sa.Column("site_id", sa.BigInteger(), nullable=True),
        sa.Column("title", sa.Text(), server_default="", nullable=False),
        sa.Column("site", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "pending",
                "running",
                "succeeded",
                "failed",
                "skipped",
                "cancelled",
                name="itemstate",
                native_enum=False,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("problem", sa.String(length=32), nullable=True),
        sa.Column("before", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("after", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("expected", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_items_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "position", name=op.f("pk_run_items")),
    )
    op.create_index(
        "ix_run_items_in_flight",
        "run_items",
        ["run_id"],
        unique=False,
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_index("ix_run_items_lid", "run_items", ["lid", "run_id"], unique=False)
    op.create_table(
        "user_tokens",
        sa.Column("member_id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("access", sa.LargeBinary(), nullable=False),
        sa.Column("refresh", sa.LargeBinary(), nullable=False),
        sa.Column("access_sha256", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("obtained_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dead_code", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["member_id", "user_id"],
            ["users.member_id", "users.user_id"],
            name=op.f("fk_user_tokens_member_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("member_id", "user_id", name=op.f("pk_user_tokens")),
    )
    op.create_index(op.f("ix_user_tokens_obtained_at"), "user_tokens", ["obtained_at"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_user_tokens_obtained_at"), table_name="user_tokens")
    op.drop_table("user_tokens")
    op.drop_index("ix_run_items_lid", table_name="run_items")
    op.drop_index("ix_run_items_in_flight", table_name="run_items", postgresql_where=sa.text("state = 'running'"))
    op.drop_table("run_items")
    op.drop_table("users")
    op.drop_index(op.f("ix_runs_undoes"), table_name="runs")
    op.drop_index(op.f("ix_runs_returns_run"), table_name="runs")
    op.drop_index(
        "ix_runs_open",
        table_name="runs",
        postgresql_where=sa.text("state in ('scheduled','queued','running','waiting')"),
    )
    op.drop_index("ix_runs_ended", table_name="runs")
    op.drop_index("ix_runs_list", table_name="runs")
    op.drop_table("runs")
    op.drop_index(op.f("ix_proofs_member_id"), table_name="proofs")
    op.drop_index(op.f("ix_proofs_expires_at"), table_name="proofs")
    op.drop_table("proofs")
    op.drop_index("ix_api_calls_list", table_name="api_calls")
    op.drop_index(op.f("ix_api_calls_at"), table_name="api_calls")
    op.drop_table("api_calls")
    op.drop_table("paces")
    op.drop_table("worker_seen")
    op.drop_index(op.f("ix_spent_expires_at"), table_name="spent")
    op.drop_table("spent")
    op.drop_index(op.f("ix_portals_domain"), table_name="portals")
    op.drop_table("portals")
