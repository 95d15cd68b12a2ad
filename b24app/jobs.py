"""The worker: Procrastinate's tasks over our verbs.

A task names a run and calls one verb; the run's row decides what happens, so a job is safe to repeat and a deploy may
come at any time. A worker that was frozen and pruned by its peers registers anew in the outer loop.
"""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import procrastinate
import structlog
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.jobs import Status
from sqlalchemy.exc import SQLAlchemyError

from b24app.operations.housekeeping import Housekeeping
from b24app.operations.retention import Retention
from b24app.services import Services
from b24app.store.db import QUEUE_POOL
from b24app.store.heartbeat import NotReady, ready, worker_name
from b24app.store.job_leases import JobLeases
from b24app.store.job_manager import AttentiveJobManager
from b24app.store.queue import BEGIN, ENSURE, FORGET, SEND_NOTICES, STEP, WORK_EVENT

log = structlog.get_logger()

FOLLOW_ZONES, KEEP_ALIVE, RECOVER = "follow_zones", "keep_alive", "recover"
HEARTBEAT_SECONDS, STALLED_SECONDS = 2, 10
POLL_SECONDS = 1  # a run set for a time starts at most this much later
GRACE_SECONDS = 75  # a batch may be in flight for 60
AGAIN_SECONDS, BEAT_SECONDS = 3, 10
EVERY_TEN_MINUTES = "4-59/10 * * * *"
EVERY_MINUTE, EVERY_TEN_SECONDS, HOURLY, HALF_PAST, DAILY = (
    "* * * * *",
    "* * * * * */10",
    "17 * * * *",
    "31 * * * *",
    "41 3 * * *",
)


def tasks(services: Services) -> procrastinate.App:
    """The engine's application with every task of ours."""
    place = services.store.queue_place
    connector = procrastinate.PsycopgConnector(
        conninfo=place.conninfo, configure=place.tell, min_size=1, max_size=QUEUE_POOL
    )
    engine = procrastinate.App(connector=connector)
    engine.job_manager = AttentiveJobManager(connector)
    _run_tasks(engine, services)
    _portal_tasks(engine, services)
    _housekeeping_tasks(engine, services)
    _calendar_tasks(engine, services)
    _token_tasks(engine, services)
    _notice_tasks(engine, services)
    return engine


def _housekeeping(services: Services) -> Housekeeping:
    return Housekeeping(services.store, services.queue, services.clock)


def _run_tasks(engine: procrastinate.App, services: Services) -> None:
    @engine.task(name=BEGIN)
    def begin(run: str) -> None:
        _at_the_edge(services.schedule.begin, run)

    @engine.task(name=STEP)
    def step(run: str) -> None:
        _at_the_edge(services.executor.run_batch, run)

    @engine.task(name=ENSURE)
    def ensure(run: str) -> None:
        _at_the_edge(services.executor.ensure_finished, run)


def _portal_tasks(engine: procrastinate.App, services: Services) -> None:
    @engine.task(name=FORGET)
    def forget(portal: str) -> None:
        services.removal.forget(portal)

    @engine.periodic(cron=EVERY_TEN_MINUTES)
    @engine.task(name="forget_due", queueing_lock="forget_due", lock="forget_due")
    def forget_due(timestamp: int) -> None:
        services.removal.forget_due()

    @engine.task(name=WORK_EVENT)
    def work_event(event: int) -> None:
        services.install_events.work(event)

    @engine.periodic(cron=EVERY_TEN_SECONDS)
    @engine.task(name="requeue_events", queueing_lock="requeue_events")
    def requeue_events(timestamp: int) -> None:
        services.inbox.requeue_due()

    @engine.periodic(cron=EVERY_MINUTE)
    @engine.task(name="ask_stopped", queueing_lock="ask_stopped", lock="ask_stopped")
    def ask_stopped(timestamp: int) -> None:
        services.portal_status.ask_stopped()


def _housekeeping_tasks(engine: procrastinate.App, services: Services) -> None:
    settings, housekeeping = services.config, _housekeeping(services)
    retention = Retention(services.store, settings.history_months, settings.api_log_days, services.clock)

    @engine.periodic(cron=EVERY_TEN_SECONDS)
    @engine.task(name="rescue", queueing_lock="rescue")
    async def rescue(timestamp: int) -> None:
        for job in await engine.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_SECONDS):
            log.warning("stalled_job_failed", job=job.id, task=job.task_name)
            await engine.job_manager.finish_job(job, status=Status.FAILED, delete_job=True)
        await asyncio.to_thread(housekeeping.requeue_lost_runs)

    @engine.periodic(cron=HOURLY)
    @engine.task(name="purge", queueing_lock="purge")
    def purge(timestamp: int) -> None:
        housekeeping.purge()
        services.statistics.count()
        retention.carry_out()


def _calendar_tasks(engine: procrastinate.App, services: Services) -> None:
    @engine.periodic(cron=EVERY_TEN_SECONDS)
    @engine.task(name="wake_forgotten", queueing_lock="wake_forgotten")  # as workers of older code know it, too
    def enqueue_near(timestamp: int) -> None:
        services.schedule.enqueue_near()

    @engine.periodic(cron=DAILY)
    @engine.task(name=FOLLOW_ZONES, queueing_lock=FOLLOW_ZONES)
    def follow_zones(timestamp: int) -> None:
        services.schedule.follow_zones()

    @engine.periodic(cron=HOURLY)
    @engine.task(name="give_up", queueing_lock="give_up")
    def give_up(timestamp: int) -> None:
        services.schedule.give_up()

    @engine.periodic(cron=HALF_PAST)
    @engine.task(name="check_upcoming", queueing_lock="check_upcoming")
    def check_upcoming(timestamp: int) -> None:
        services.preflight.check_upcoming()
        for asker in services.preflight.recovered():
            services.waiting.resume_for(asker)


def _token_tasks(engine: procrastinate.App, services: Services) -> None:
    @engine.periodic(cron=EVERY_TEN_MINUTES)
    @engine.task(name=KEEP_ALIVE, queueing_lock=KEEP_ALIVE, lock=KEEP_ALIVE)
    def keep_alive(timestamp: int) -> None:
        services.keep_alive.renew_ageing()

    @engine.periodic(cron=EVERY_TEN_MINUTES)
    @engine.task(name=RECOVER, queueing_lock=RECOVER, lock=RECOVER)
    def recover(timestamp: int) -> None:
        services.recovery.resume()


def _notice_tasks(engine: procrastinate.App, services: Services) -> None:
    @engine.task(name=SEND_NOTICES)
    def send_notices(portal: str) -> None:
        services.notices.send(portal)

    @engine.periodic(cron=EVERY_TEN_SECONDS)
    @engine.task(name="requeue_notices", queueing_lock="requeue_notices")
    def requeue_notices(timestamp: int) -> None:
        services.notice_rows.requeue_due()


def _at_the_edge(verb: Callable[[UUID], None], run: str) -> None:
    """Every failure of a job ends here with a log; the run keeps its state and gets another job
    from `requeue_lost_runs`.
    """
    with structlog.contextvars.bound_contextvars(run=run):
        try:
            verb(UUID(run))
        except Exception:
            log.exception("job_failed")
            raise


async def work(services: Services, *, wait: bool = True) -> None:
    """Do what is due; with `wait`, until SIGTERM or SIGINT. Finishes the batches in flight first."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(services.config.worker_threads, thread_name_prefix="run"))
    told_to_stop = asyncio.Event()
    if wait:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, told_to_stop.set)
    await _again_until_told(lambda: _work_once(services, told_to_stop, wait=wait), told_to_stop, wait=wait)


async def _again_until_told(once: Callable[[], Awaitable[None]], told_to_stop: asyncio.Event, *, wait: bool) -> None:
    """The engine ends its worker when the database was away, with or without an error; only a signal ends ours."""
    while True:
        try:
            await once()
        except ConnectorException as lost:
            if not wait:
                raise
            log.warning("worker_lost_its_connection", reason=type(lost).__name__)
        if not wait or told_to_stop.is_set():
            return
        log.warning("worker_restarting")
        await asyncio.sleep(AGAIN_SECONDS)


def _may_work(services: Services) -> bool:
    """Whether the database is there with tables this code can use. Raises TransactionPooling."""
    try:
        ready(services.store)
    except NotReady as why:
        log.warning("worker_waits", reason=str(why))
        return False
    return True


async def _beat(housekeeping: Housekeeping, name: str, over: asyncio.Event) -> None:
    """Say every few seconds that this worker is at work, until it is over."""
    while not over.is_set():
        try:
            await asyncio.to_thread(housekeeping.beat, name)
        except SQLAlchemyError as away:
            log.warning("heartbeat_not_written", reason=type(away).__name__)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), BEAT_SECONDS)


async def _work_once(services: Services, told_to_stop: asyncio.Event, *, wait: bool) -> None:
    if not await asyncio.to_thread(_may_work, services):
        return
    if not wait:
        await _work_until_told(services, told_to_stop, wait=False)
        return
    housekeeping, over = _housekeeping(services), asyncio.Event()
    with worker_name(services.store) as name:
        beating = asyncio.create_task(_beat(housekeeping, name, over))
        try:
            await _work_until_told(services, told_to_stop, wait=True)
        finally:
            over.set()
            await beating
            if told_to_stop.is_set():
                with contextlib.suppress(SQLAlchemyError):
                    await asyncio.to_thread(housekeeping.leave, name)


async def _work_until_told(services: Services, told_to_stop: asyncio.Event, *, wait: bool) -> None:
    engine, leases = tasks(services), JobLeases()
    async with engine.open_async():
        with contextlib.suppress(AlreadyEnqueued):  # zone rules can have changed while no worker was there
            await engine.tasks[FOLLOW_ZONES].defer_async(timestamp=0)
        worker = asyncio.create_task(
            engine.run_worker_async(
                concurrency=services.config.worker_threads,
                wait=wait,
                delete_jobs="successful",
                fetch_job_polling_interval=POLL_SECONDS,
                update_heartbeat_interval=HEARTBEAT_SECONDS,
                stalled_worker_timeout=STALLED_SECONDS,
                shutdown_graceful_timeout=GRACE_SECONDS,
                listen_notify=wait,
                install_signal_handlers=False,
                worker_middleware=[leases.note],
            )
        )
        keeper = asyncio.create_task(leases.keep(engine, HEARTBEAT_SECONDS))
        stop = asyncio.create_task(told_to_stop.wait())
        try:
            await asyncio.wait((worker, stop), return_when=asyncio.FIRST_COMPLETED)
            if not worker.done():
                worker.cancel()  # the engine's way to ask for a graceful end
            with contextlib.suppress(asyncio.CancelledError):
                await worker
        finally:
            keeper.cancel()
            stop.cancel()
