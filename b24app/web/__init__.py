"""How people reach us: routes, forms and answers, sessions, and every problem as a banner or JSON."""
