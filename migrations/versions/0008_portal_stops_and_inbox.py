"""why portals stopped, and the inbox of events

A stop gets its time and when the portal is asked again; a removed portal a mark that its people are to be forgotten;
a person the reason why Bitrix24 does not let them in. Events that were proven are kept until they are worked off. The
tokens of the app's system user live in a table of their own. Portals that are stopped already are asked again at once.

Revision ID: 0008
Revises: 0007
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0008"
down_revision: str | Sequence[str] | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column(
        "portals", sa.Column("to_be_forgotten", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column("portals", sa.Column("suspended_at", MOMENT))
    op.add_column("portals", sa.Column("asked_times", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("portals", sa.Column("ask_again_at", MOMENT))
    op.create_index("ix_portals_ask_again_at", "portals", ["ask_again_at"])
    op.execute("update portals set suspended_at = now(), ask_again_at = now() where suspended_code is not null")
    op.add_column("users", sa.Column("refused_code", sa.Text()))
    op.create_table(
        "system_tokens",
        sa.Column("member_id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("access", sa.LargeBinary(), nullable=False),
        sa.Column("refresh", sa.LargeBinary(), nullable=False),
        sa.Column("access_sha256", sa.String(64), nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("obtained_at", MOMENT, nullable=False),
        sa.Column("dead_code", sa.Text()),
        sa.ForeignKeyConstraint(
            ["member_id"], ["portals.member_id"], name="fk_system_tokens_member_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("member_id", name="pk_system_tokens"),
    )
    op.create_table(
        "inbox_events",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("member_id", sa.String(64), nullable=False),
        sa.Column("event", sa.String(64), nullable=False),
        sa.Column("ts", sa.BigInteger(), nullable=False),
        sa.Column("values", JSONB(), nullable=False),
        sa.Column("sealed", sa.LargeBinary()),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("contradicted", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("deadline", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_inbox_events"),
    )
    op.create_index("ix_inbox_events_member_id", "inbox_events", ["member_id"])
    op.create_index("ix_inbox_events_due_at", "inbox_events", ["due_at"])
    op.create_table(
        "counts",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_counts"),
    )


def downgrade() -> None:
    for table in ("counts", "inbox_events", "system_tokens"):
        op.drop_table(table)
    op.drop_column("users", "refused_code")
    op.drop_index("ix_portals_ask_again_at", "portals")
    for column in ("ask_again_at", "asked_times", "suspended_at", "to_be_forgotten"):
        op.drop_column("portals", column)
