"""What the app remembers: tables, secrets at rest, the job queue, and the database they live in."""
