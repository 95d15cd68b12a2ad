"""Sundown: take landing pages of Bitrix24 "Sites" down, and bring them back, on behalf of the person who asks."""

__version__ = "0.1.0"
