"""What we remember: one PostgreSQL with its tables, jobs and secrets."""
