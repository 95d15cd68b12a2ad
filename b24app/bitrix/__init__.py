"""How the app reaches Bitrix24: guarded connections, REST, OAuth, and the methods of Sites."""
