"""Sockets: HTTP that can misbehave, throw-away certificates, a proxy for names that are built into clients."""
