"""A reverse proxy between the operator and a server, which fails as it is told to."""

from __future__ import annotations

import asyncio
import base64
import random
import ssl
import threading

import yaml
from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

HOP = {"connection", "host", "keep-alive", "transfer-encoding", "content-length", "upgrade"}
FAULTS = ("429", "500", "503", "cut before", "cut after")


class Proxy:
    """Forwards HTTP, streams too; a share of requests gets one of FAULTS instead.

    ``cut before`` closes the connection without asking the server, ``cut after`` lets the server
    do what was asked and then loses its answer.

    Args:
        upstream: base URL.
        tls: for ``upstream``.
        percent: of requests that fail; may be changed at any time.
    """

    def __init__(self, upstream, tls=None, percent=0):
        self.upstream, self.tls, self.percent = upstream.rstrip("/"), tls, percent
        self.asked, self.faults = 0, dict.fromkeys(FAULTS, 0)
        self.port = 0
        self._draw = random.Random(1)  # noqa: S311 faults, no secret
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        self._thread.start()
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def start(self):
        """Listen, on the same port as before."""
        self._do(self._start())

    def stop(self):
        """Close every connection and refuse new ones."""
        self._do(self._stop())

    def _do(self, work):
        asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _start(self):
        connector = TCPConnector(ssl=self.tls if self.tls else True, limit=0)
        self._session = ClientSession(
            connector=connector, auto_decompress=False, timeout=ClientTimeout(total=None)
        )
        server = web.Server(self._answer)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _stop(self):
        await self._runner.cleanup()
        await self._session.close()

    async def _answer(self, request):
        self.asked += 1
        fault = None
        if self._draw.random() * 100 < self.percent:
            fault = self._draw.choice(FAULTS)
            self.faults[fault] += 1
        if fault == "cut before":
            return _cut(request)
        if fault in ("429", "500", "503"):
            body = {"kind": "Status", "apiVersion": "v1", "code": int(fault), "message": "injected"}
            headers = {"Retry-After": "1"} if fault == "429" else {}
            return web.json_response(body, status=int(fault), headers=headers)
        return await self._forward(request, cut=fault == "cut after")

    async def _forward(self, request, cut):
        headers = {k: v for k, v in request.headers.items() if k.lower() not in HOP}
        asked = self._session.request(
            request.method,
            self.upstream + request.path_qs,
            headers=headers,
            data=await request.read() or None,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            allow_redirects=False,
        )
        async with asked as answer:
            if cut:
                return _cut(request)
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in HOP}
            given = web.StreamResponse(status=answer.status, headers=kept)
            await given.prepare(request)
            async for chunk in answer.content.iter_any():
                await given.write(chunk)
            await given.write_eof()
            return given


def _cut(request):
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def api_server(kubeconfig, folder, percent):
    """A proxy before the API server of a kubeconfig, with its credentials."""
    body = yaml.safe_load(kubeconfig.read_text())
    cluster, user = body["clusters"][0]["cluster"], body["users"][0]["user"]
    given = {
        "ca": cluster["certificate-authority-data"],
        "crt": user["client-certificate-data"],
        "key": user["client-key-data"],
    }
    for name, text in given.items():
        (folder / name).write_bytes(base64.b64decode(text))
    tls = ssl.create_default_context(cafile=folder / "ca")
    tls.load_cert_chain(folder / "crt", folder / "key")
    return Proxy(cluster["server"], tls, percent)


def kubeconfig_of(proxy, folder):
    """Leads to a proxy, which has the credentials."""
    body = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "proxy", "cluster": {"server": proxy.url}}],
        "users": [{"name": "nobody", "user": {}}],
        "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "nobody"}}],
        "current-context": "proxy",
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(body))
    return path
