"""The pairs of tokens that act for people: used, renewed once, kept alive, sealed anew."""
