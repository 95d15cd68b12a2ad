"""One Bitrix24: proven, installed, bound, looked after, and removed."""
