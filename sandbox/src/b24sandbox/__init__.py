"""A stand-in for Bitrix24: an authorization server and portals that apps can be developed and tested against, offline.

It keeps its own reading of the protocol and knows nothing of the app it is used with. Start it with `b24sandbox`, or in
a test with `StandIn.start()` or the pytest fixtures `standin` and `portal`; `README.md` has the rest. Methods and
events that it does not have are added with `rest_method` and `register_event`.
"""

from b24sandbox.methods.lists import paged
from b24sandbox.portal import PortalHandle
from b24sandbox.protocol.errors import RestError
from b24sandbox.protocol.events import register_event
from b24sandbox.protocol.registry import MethodCall, Paged, rest_method
from b24sandbox.standin import StandIn

__all__ = ["MethodCall", "Paged", "PortalHandle", "RestError", "StandIn", "paged", "register_event", "rest_method"]
