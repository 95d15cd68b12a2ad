"""The stand-in as an object: everything running on real sockets, and verbs for tests.

standin = StandIn.start(app_url="http://127.0.0.1:8100")
portal = standin.portals[0]
url, form = portal.open("admin", install=True)
…
standin.stop()
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from b24sandbox import methods
from b24sandbox.control import routes
from b24sandbox.control.api import Control, description
from b24sandbox.network import Network
from b24sandbox.portal import PortalHandle
from b24sandbox.state import samples, snapshot
from b24sandbox.state.clock import Clock
from b24sandbox.state.faults import Fault
from b24sandbox.state.recorder import Call
from b24sandbox.state.world import World

REGISTERED = (methods, routes)  # importing them is what puts REST methods and control routes in place
SAVED_EVERY = 3.0


class StandIn:
    """The whole stand-in in this process; use `start`."""

    def __init__(self, world: World, network: Network) -> None:
        self.world = world
        self.portals = [PortalHandle(world, portal.index, network.move) for portal in world.portals]
        self._network = network
        self._stopped = threading.Event()
        self._keeper: threading.Thread | None = None
        self._state_file: Path | None = None
        self._ca: Path | None = None

    @classmethod
    def start(
        cls,
        port: int = 0,
        app_url: str = "http://127.0.0.1:8100",
        portals: int = 2,
        tls: Path | str | None = None,
        scale: float = 1.0,
        state_file: Path | None = None,
        names: bool = False,
        apps: Sequence[Mapping[str, Any]] = (),
        **card: Any,
    ) -> StandIn:
        """Listen: control, two authorization servers, then the portals, on `port` and the next ones (0: any free).

        tls         serve https; the authority that clients are to trust is written there as `ca.pem`
        scale       portal seconds in one real second
        state_file  take up what was saved there, and save to it every few seconds and at the end
        names       with TLS: portals and authorization servers have names, reached through `proxy` alone
        apps        cards of several applications side by side, each as `card`; `url` is `app_url` unless given
        card        fields of the one application's card (`Application`): title, scope, install_path, client_id …

        Raises OSError where it cannot listen, StateFileError for a file that is not of these portals.
        """
        cards = [samples.card(place, **{"url": app_url, **each}) for place, each in enumerate(apps or [card])]
        world = samples.build(portals, cards, Clock(scale))
        if names and tls is None:
            raise ValueError("names are reached over https: name a folder for tls")
        network = Network(world, None if tls is None else Path(tls), names)
        standin = cls(world, network)
        standin._ca = None if tls is None else Path(tls) / "ca.pem"
        try:
            network.listen(port, Control(world, standin.portals))
            if state_file is not None:
                snapshot.load(world, state_file)
        except (OSError, snapshot.StateFileError):
            standin.stop()
            raise
        if state_file is not None:
            standin._keep(state_file)
        return standin

    def _keep(self, path: Path) -> None:
        """Save now and then, and once more when stopped."""

        def run() -> None:
            saved = 0
            while not self._stopped.wait(SAVED_EVERY):
                if self.world.request_count != saved:
                    saved = self.world.request_count
                    snapshot.save(self.world, path)

        self._keeper = threading.Thread(target=run, daemon=True, name="stand-in state")
        self._state_file = path
        self._keeper.start()

    def stop(self) -> None:
        """Close every socket, and save where there is a file to save to."""
        self._stopped.set()
        self._network.close()
        if self._keeper is not None and self._state_file is not None:
            self._keeper.join()
            snapshot.save(self.world, self._state_file)
            self._keeper = None

    def __enter__(self) -> StandIn:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def control(self) -> str:
        """The control API's address."""
        return self.world.control

    @property
    def oauth(self) -> str:
        """The first authorization server's address."""
        return self.world.servers[0]

    @property
    def proxy(self) -> str:
        """With TLS: the proxy for clients that have oauth.bitrix.info built in."""
        return self.world.proxy

    @property
    def ca(self) -> Path | None:
        """With TLS: the authority that clients are to trust."""
        return self._ca

    @property
    def client_id(self) -> str:
        return self.world.application.client_id

    @property
    def client_secret(self) -> str:
        return self.world.application.client_secret

    @property
    def app_url(self) -> str:
        return self.world.application.url

    @app_url.setter
    def app_url(self, url: str) -> None:
        self.world.application.url = url

    def add_app(self, **card: Any) -> int:
        """Register one more application and put it on every portal; its place. Fields as in `start`.

        `portal.of(place)` is a portal as that application sees it.
        """
        with self.world.lock:
            return samples.add_app(self.world, {"url": self.app_url, **card})

    def reset(self) -> None:
        """Everything as at the start: sample data, no tokens, no faults, nothing recorded. Addresses stay."""
        samples.reset(self.world)

    def fault(self, where: int | str, method: str = "*", *, kind: str, times: int = 1, **more: object) -> Fault:
        """Arm a fault for the next `times` calls of a method: `standin.fault(0, "landing.*", kind="html")`."""
        return self.world.faults.add(Fault(where, kind, method, times, **more))  # type: ignore[arg-type]

    def clear_faults(self) -> None:
        self.world.faults.clear()

    def calls(self, portal: int | str | None = None, method: str | None = None, user: int | None = None) -> list[Call]:
        """What was asked, oldest first: commands inside batches too (`call.batch` is then a number)."""
        return self.world.recorder.calls(portal, method.lower() if method else None, user)

    def oauth_asked(self, path: str) -> int:
        """How often the authorization servers were asked for `/oauth/token/` or `app.info`."""
        return len(self.calls("oauth", path))

    def wait_for_events(self, seconds: float = 30.0) -> bool:
        """Wait until no event is under way; False when some still are after that many real seconds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with self.world.lock:
                if self.world.event_queue.under_way == 0:
                    return True
            time.sleep(0.005)
        return False

    def described(self) -> dict[str, object]:
        """The line that `python -m b24sandbox` prints."""
        return description(self.world, self.portals)
