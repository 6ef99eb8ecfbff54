"""The API as an ASGI app."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from fastapi import Depends, FastAPI, Request

from service.access import AccessMiddleware
from service.bodies import drop_unused_body, has_body
from service.dashboard import router as dashboard
from service.errors import install_error_handlers
from service.group_commit import GroupCommit
from service.metrics import Metrics
from service.middleware import HeadMiddleware, RequestMiddleware, note_route
from service.negotiation import check_request_line
from service.openapi import install_documents
from service.parameters import check_parameters
from service.rate_limits import OpenRequests
from service.routes import artifacts, catalog, datasets, jobs, models, observability, submissions, system, uploads
from service.stream import EventFeed
from storage.database import Database
from storage.files import FileStore
from storage.settings import Settings
from storage.version import VERSION
from worker.jobs import SPECS


def create_app(settings: Settings) -> FastAPI:
    """The app. It opens the database, and brings its schema up to date, when it starts to serve."""
    database = Database(settings)
    metrics = Metrics(SPECS)
    files = FileStore(settings)
    feed = EventFeed(database, metrics.open_streams)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        database.create()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(feed.run)
            yield
            tasks.cancel_scope.cancel()
        database.dispose()

    app = FastAPI(
        title="Tonok",
        version=VERSION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(_look_at_request)],
    )
    app.state.settings = settings
    app.state.database = database
    app.state.files = files
    app.state.group_commit = GroupCommit(database, files.room)
    app.state.metrics = metrics
    app.state.feed = feed
    app.state.open_streams = OpenRequests(
        settings.max_open_streams,
        "too_many_streams",
        "streams and long polls of yours are open: end one, or ask for the job or its `events` from time to time.",
    )
    app.state.open_uploads = OpenRequests(
        settings.max_open_uploads, "too_many_uploads", "files of yours are being sent: let one end, then send this."
    )
    for resource in (submissions, jobs, artifacts, models, uploads, datasets, catalog, observability, system):
        app.include_router(resource.router)
    app.include_router(dashboard)
    install_documents(app)
    install_error_handlers(app)
    # The last one added is the first that a request meets.
    app.add_middleware(HeadMiddleware)
    app.add_middleware(AccessMiddleware, database=database, settings=settings)
    app.add_middleware(RequestMiddleware, observe=metrics.observe_request)
    return app


async def _look_at_request(request: Request) -> None:
    """What comes before every route. One dependency and not four: to call each takes longer than what they do.

    `async`, so that no thread is asked for what takes microseconds.
    """
    note_route(request)
    check_request_line(request)
    check_parameters(request)
    if has_body(request.headers) and "requestBody" not in (request.scope["route"].openapi_extra or {}):
        await drop_unused_body(request)
