"""The register of REST methods and what each is given: sections 2, 5 and 6 put their methods here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from b24sandbox.protocol import php
from b24sandbox.protocol.errors import RestError, argument, denied
from b24sandbox.protocol.events import emit
from b24sandbox.protocol.limits import Deadline, UsedTime
from b24sandbox.state.records import Records
from b24sandbox.state.world import Application, Installation, Portal, Token, User, World


@dataclass
class Process:
    """What one HTTP request shares between its commands: PHP's statics, and the front end's deadline.

    `kind` is the landing `scope` parameter, which leaks from one command of a batch to the next (section 4.4).
    """

    deadline: Deadline
    used: UsedTime
    account: str  # whose operating time it is
    kind: str = ""


@dataclass(frozen=True)
class MethodCall:
    """One method call after all checks: who asks on which portal, and what."""

    world: World
    portal: Portal
    user: User
    scope: list[str]
    params: dict[str, object]
    process: Process
    token: Token | None = None  # None: an inbound webhook

    @property
    def now(self) -> float:
        return self.world.clock.now()

    def get(self, name: str) -> object:
        """A parameter of an old global method, whose names ignore case."""
        for key, value in self.params.items():
            if key.lower() == name.lower():
                return value
        return None

    def text(self, name: str) -> str:
        return php.text(self.get(name))

    def required(self, name: str) -> str:
        """A parameter that may not be empty; raises ERROR_ARGUMENT with its name."""
        if not (value := self.text(name)):
            raise argument(name, f"Parameter '{name}' is null or empty")
        return value

    def records(self, name: str) -> Records:
        """Rows that this portal keeps under a name; empty at first, and again after a reset."""
        return self.portal.records.setdefault(name, Records())

    def emit(self, event: str, values: dict[str, object]) -> int:
        """Send an event to every application that bound it, as the caller; how many handlers hear of it.

        After seven events that were caused by events nothing is sent any more (3.3).
        """
        depth = self.token.depth if self.token is not None else 0
        return emit(self.world, self.portal, event.upper(), values, self.user.id, app=None, depth=depth)

    def installation(self) -> Installation:
        """The app that asks, on this portal; raises WRONG_AUTH_TYPE for a webhook."""
        if (found := self.app_here) is None:
            raise RestError("WRONG_AUTH_TYPE", status=403)
        return found

    @property
    def app_here(self) -> Installation | None:
        """The installation of the app that asks; None for a webhook."""
        return None if self.token is None else self.portal.installations.get(self.token.app)

    @property
    def app(self) -> int:
        """The place of the app that asks among the applications; -1 for a webhook."""
        return -1 if self.token is None else self.token.app

    @property
    def card(self) -> Application:
        """The card of the app that asks; raises WRONG_AUTH_TYPE for a webhook."""
        self.installation()
        return self.world.applications[self.app]

    def need_admin(self) -> None:
        if not self.user.admin:
            raise denied("Access denied! Administrator permissions required.")


class CommandLost(Exception):
    """A command of a batch that was done and leaves no trace in the answer."""


@dataclass(frozen=True)
class Paged:
    """An answer of a generic list: its rows, how many there are, and where the next page starts (section 4.3)."""

    rows: object
    total: int | None
    next: int | None = None


@dataclass(frozen=True)
class Method:
    """`scope` is what the token needs (any one of several); `cost` operating seconds, `wall` seconds on the clock."""

    name: str
    run: Callable[[MethodCall], object]
    scope: tuple[str, ...] = ()
    cost: float = 0.03
    wall: float = 0.1
    in_batch: bool = True


@dataclass
class Register:
    methods: dict[str, Method] = field(default_factory=dict)

    def __call__(
        self, name: str, *scope: str, cost: float = 0.03, wall: float = 0.1
    ) -> Callable[[Callable[[MethodCall], object]], Callable[[MethodCall], object]]:
        """Register a function as the REST method `name`."""

        def add(run: Callable[[MethodCall], object]) -> Callable[[MethodCall], object]:
            self.methods[name.lower()] = Method(name.lower(), run, scope, cost, wall)
            return run

        return add

    def find(self, name: str, portal: Portal) -> Method | None:
        """The method of that (lower-case) name, if this portal has it."""
        if name.startswith("landing.") and not portal.switches.landing_module:
            return None
        return self.methods.get(name)


rest_method = Register()
