"""How we reach Bitrix24: connections, REST, authorization servers, landing methods, and the forms it posts to us."""
