"""What one call needs: where to, and with which token."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Credentials:
    """A stored access token, opened. `portal_epoch` is the portal's when it was read: tells installations apart."""

    endpoint: str
    server: str
    token: str = field(repr=False)
    expires_at: datetime
    portal_epoch: int
