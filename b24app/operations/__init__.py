"""What the operator sees and orders, and what is done by the clock to keep the house in order."""
