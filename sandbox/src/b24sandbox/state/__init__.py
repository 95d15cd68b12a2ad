"""What the stand-in knows and remembers. Nothing here knows HTTP or a socket."""
