"""One Bitrix24 with the app: who may speak for it, installing, events, removal, and how the app stands there."""
