"""Passages that were accepted for past questions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "memories",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("tenant", sa.String(255), nullable=False),
        sa.Column("department", sa.String(255), nullable=False),
        sa.Column("document_id", sa.String(32), nullable=False),
        sa.Column("chunk_id", sa.String(64)),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("terms", sa.LargeBinary(), nullable=False),
        sa.Column("departments", sa.JSON(), nullable=False),
        sa.Column("subject", sa.String(255)),
        sa.Column("origin", sa.String(16), nullable=False),
        sa.Column("trace_id", sa.String(32)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["document_id"], ["documents.id"], name="fk_memories_document_id_documents", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_memories"),
    )
    op.create_index("ix_memories_document_id", "memories", ["document_id"])
    op.create_index("ix_memories_tenant_department_created_at", "memories", ["tenant", "department", "created_at"])
    op.create_index("ix_memories_tenant_subject", "memories", ["tenant", "subject"])


def downgrade() -> None:
    op.drop_table("memories")
