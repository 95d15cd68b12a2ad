"""Pages a person may see: read and kept, searched and put in order, found by their addresses."""
