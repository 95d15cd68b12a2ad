"""A stand-in for Bitrix24: an authorization server and portals that apps can be developed and tested against, offline.

It keeps its own reading of the protocol and knows nothing of the app it is used with. Start it with `b24sandbox`, or in
a test with `StandIn.start()` or the pytest fixtures `standin` and `portal`; `README.md` has the rest.
"""

from b24sandbox.portal import PortalHandle
from b24sandbox.standin import StandIn

__all__ = ["PortalHandle", "StandIn"]
