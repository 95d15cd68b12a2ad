"""The control API: how the panel, `b24sandbox`'s caller and tests in other languages steer the stand-in."""
