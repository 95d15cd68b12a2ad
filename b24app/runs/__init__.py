"""Orders over pages: placed, set for a time, carried out in batches, looked at, taken back."""
