"""Orders and what becomes of them: placed, executed in batches, kept in time, waiting, undone."""
