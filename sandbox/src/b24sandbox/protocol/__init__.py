"""How Bitrix24 speaks: tokens, calls and their limits, batch, events, the frame. Which methods there are: `methods`."""
