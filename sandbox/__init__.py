"""A stand-in for Bitrix24: an authorization server and portals that apps can be developed and tested against, offline.

It keeps its own reading of the protocol and knows nothing of the app it is used with. Start it with
`python -m sandbox`, or in a test with `StandIn.start()`; `README.md` has the rest.
"""

from sandbox.handle import PortalHandle
from sandbox.standin import StandIn

__all__ = ["PortalHandle", "StandIn"]
