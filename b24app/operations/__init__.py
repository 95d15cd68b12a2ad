"""What the operator sees and orders over all portals, and what the worker does by the clock."""
