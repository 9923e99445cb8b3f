"""Serve until SIGTERM: the socket, TLS and its renewal, and an end that lets requests finish."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import ssl
from pathlib import Path
from types import FrameType

import structlog
import uvicorn
import uvloop

from rag_runtime import logs
from rag_runtime.app import create_app
from rag_runtime.commands.protocol import PatientProtocol
from rag_runtime.errors import SettingInvalid
from rag_runtime.service import Runtime
from rag_runtime.settings import Settings

log = structlog.get_logger(__name__)

# Longer than a load balancer's usual 60 s, so that it is the one to close an idle connection.
KEEP_ALIVE_SECONDS = 75
BACKLOG = 2048
TLS_LOOK_SECONDS = 10.0


class Server(uvicorn.Server):
    """Ends with status 0 after a signal, having told the readiness probe first."""

    runtime: Runtime
    fatal: Exception | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        self.runtime.drain()
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    def end(self, fatal: Exception) -> None:
        self.fatal = fatal
        self.should_exit = True


def serve(settings: Settings) -> None:
    """Returns after a signal; raises Misconfigured when the service cannot work as it is configured."""
    logs.configure(settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, int(settings.shutdown_grace)),
    )
    config.load()
    config.ssl = _tls(settings)
    server = Server(config)
    server.runtime = app.state.runtime
    server.runtime.on_fatal = server.end
    with _listen(settings) as listener:
        log.info("listening", host=settings.host, port=listener.getsockname()[1], tls=config.ssl is not None)
        asides = [asyncio.create_task(_renew_tls(settings, config.ssl)), asyncio.create_task(_freeze(server.runtime))]
        await server.serve(sockets=[listener])
        for aside in asides:
            aside.cancel()
        await asyncio.gather(*asides, return_exceptions=True)
    if server.fatal is not None:
        raise server.fatal


async def _freeze(runtime: Runtime) -> None:
    """Spare the garbage collector what stays for good: looking through it again and again holds up requests."""
    await runtime.started.wait()
    gc.collect()
    gc.freeze()


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # Loops switch Nagle's algorithm off where the protocol is named; else each answer takes 40 ms longer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(BACKLOG)
    except OSError as taken:
        listener.close()
        reason = taken.strerror or str(taken)
        raise SettingInvalid(f"HOST={settings.host} PORT={settings.port} cannot be listened on: {reason}") from taken
    return listener


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.ssl_cert_path is None or settings.ssl_key_path is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.ssl_cert_path, settings.ssl_key_path)
    except (OSError, ssl.SSLError) as broken:
        names = f"SSL_CERT_PATH={settings.ssl_cert_path} and SSL_KEY_PATH={settings.ssl_key_path}"
        raise SettingInvalid(f"{names} cannot be loaded: {broken}") from broken
    return context


async def _renew_tls(settings: Settings, context: ssl.SSLContext | None, *, every: float = TLS_LOOK_SECONDS) -> None:
    """New connections get a renewed certificate; a pair that does not match yet is tried again at the next look."""
    if context is None or settings.ssl_cert_path is None or settings.ssl_key_path is None:
        return
    paths = (settings.ssl_cert_path, settings.ssl_key_path)
    loaded = _states(paths)
    while True:
        await asyncio.sleep(every)
        state = _states(paths)
        if state == loaded:
            continue
        try:
            context.load_cert_chain(*paths)
        except (OSError, ssl.SSLError) as broken:
            log.warning("tls_not_renewed", reason=str(broken))
        else:
            loaded = state
            log.info("tls_renewed")


def _states(paths: tuple[Path, Path]) -> list[tuple[int, int]]:
    found = []
    for path in paths:
        with contextlib.suppress(OSError):
            status = path.stat()
            found.append((status.st_mtime_ns, status.st_ino))
    return found
