"""User tokens: kept, renewed once, kept alive, and sealed anew when keys change."""
