"""A local page: drop a picture or a short clip on it, or use the camera. Nothing is kept."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import logging
import secrets
import socket
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import uvicorn
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from mer_core.datasets.frames import IMAGE_SUFFIXES, natural_key
from mer_core.errors import UserError
from mer_core.inference.card import between
from mer_core.inference.model import Model, Prediction
from mer_core.inference.sources import VIDEO_SUFFIXES, read_clip
from mer_core.job import is_out_of_memory

MAX_BYTES = 64_000_000  # of an upload
MAX_FILES = 300  # frames of a clip
PATIENCE = 60.0  # seconds in which an upload must have arrived
SILENCE = 10.0  # seconds in which a connection must have asked for something
MAX_WAITING = 4  # uploads that are at work or wait; more are asked to come again
MAX_ARRIVING = 8  # uploads on their way; for one more the oldest of them is given up
_LOG = logging.getLogger(__name__)


def serve_model(model: Model, host: str, port: int) -> None:
    """Serve a model's page until it is stopped; on another address than this machine's own, by a token.

    Raises:
        UserError: the address or the port cannot be had.
    """
    token = None if _is_loopback(host) else secrets.token_urlsafe(16)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"{host}, port {port}: cannot be had ({reason}); name others by --host, --port"
        ) from None
    with listening, suppress(KeyboardInterrupt):
        name = socket.gethostname() if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
        shown = f"http://{name}:{listening.getsockname()[1]}/{f'?token={token}' if token else ''}"
        print(f"The page: {shown}   (stop it with Ctrl+C)", flush=True)
        uvicorn.Server(settings(build_app(model, host, token))).run(sockets=[listening])


def settings(app: Starlette) -> uvicorn.Config:
    """How the page is served: never more at once than this machine bears."""
    return uvicorn.Config(
        app,
        http=_Hurried,
        log_level="warning",
        access_log=False,
        limit_concurrency=100,
        timeout_keep_alive=5,
        server_header=False,
    )


class _Hurried(H11Protocol):
    """Hangs up on who asks nothing: a hundred silent connections would keep everybody else out."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        # An answer leaves in two writes, and the second would wait for word on the first (40 ms).
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.loop.call_later(SILENCE, self._watch, None)

    def _watch(self, seen: Any) -> None:
        """Hang up where nothing was asked since the last look, at which `seen` was answered."""
        if self.cycle is seen and (seen is None or seen.response_complete):
            self.transport.close()
        elif not self.transport.is_closing():
            self.loop.call_later(SILENCE, self._watch, self.cycle)


def build_app(model: Model, host: str = "127.0.0.1", token: str | None = None) -> Starlette:
    """The page and what stands behind it.

    Args:
        model: what judges.
        host: where it will listen; other names in a request's Host are refused, so that no page of another
            host can reach it under a name of its own.
        token: what a visitor must show, or None.
    """
    working = asyncio.Semaphore(1)  # one judgement at a time: each uses all cores
    waiting = 0
    arriving: list[asyncio.Task[dict[Path, str]]] = []
    html = _page(model)

    async def page(request: Request) -> Response:
        response = HTMLResponse(html)
        if token:
            response.set_cookie("token", token, httponly=True, samesite="strict")
        return response

    async def judge(request: Request) -> Response:
        nonlocal waiting
        # What has arrived lies in a folder of its own until it is judged, and no longer.
        with tempfile.TemporaryDirectory(prefix="mer") as folder:
            if len(arriving) == MAX_ARRIVING:
                arriving.pop(0).cancel()  # the slowest, so that slow ones keep nobody out
            upload = asyncio.create_task(_received(request, Path(folder)))
            arriving.append(upload)
            try:
                files = await asyncio.wait_for(upload, PATIENCE)
            except TimeoutError:
                raise HTTPException(408, f"the upload took more than {PATIENCE:.0f} seconds") from None
            except asyncio.CancelledError:
                if asyncio.current_task().cancelling():
                    raise
                raise HTTPException(408, "the upload was slow, and others came; try again") from None
            finally:
                if upload in arriving:
                    arriving.remove(upload)
            if waiting >= MAX_WAITING:
                raise HTTPException(503, "busy; try again in a moment")
            waiting += 1
            try:
                async with working:
                    return JSONResponse(await run_in_threadpool(_judged, model, files))
            finally:
                waiting -= 1

    async def guard(request: Request, call: Any) -> Response:
        shown = request.query_params.get("token") or request.cookies.get("token", "")
        if token and not secrets.compare_digest(shown.encode(), token.encode()):
            return JSONResponse({"error": "open the address that mer serve printed, with its token"}, 403)
        origin = request.headers.get("origin")
        if request.method == "POST" and origin and origin.partition("//")[2] != request.headers.get("host"):
            return JSONResponse({"error": "asked by another page"}, 403)
        response = await call(request)
        response.headers.update(_headers(html))
        return response

    names = ["127.0.0.1", "localhost", "[::1]", "::1", host] if token is None else ["*"]
    return Starlette(
        routes=[Route("/", page), Route("/judge", judge, methods=["POST"])],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=names, www_redirect=False),
            Middleware(BaseHTTPMiddleware, dispatch=guard),
        ],
        exception_handlers={HTTPException: _refusal, Exception: _failure},
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return False


async def _refusal(request: Request, error: HTTPException) -> Response:
    return JSONResponse({"error": error.detail}, error.status_code)


async def _failure(request: Request, error: Exception) -> Response:
    if is_out_of_memory(error):
        return JSONResponse({"error": "out of memory; give a smaller picture or a shorter clip"}, 503)
    return JSONResponse({"error": "the server failed; where it runs it says why"}, 500)


async def _received(request: Request, folder: Path) -> dict[Path, str]:
    """The uploaded files, under names of our own -> theirs, in the order of theirs."""
    length = request.headers.get("content-length", "")
    if not length.isdecimal():
        raise HTTPException(411, "an upload must say how long it is")
    if int(length) > MAX_BYTES:
        raise HTTPException(413, f"an upload has {MAX_BYTES // 1_000_000} MB at most")
    form = await request.form(max_files=MAX_FILES, max_fields=0)
    try:
        uploads = sorted(form.getlist("files"), key=lambda upload: natural_key(upload.filename or ""))
        files = {}
        for number, upload in enumerate(uploads):
            suffix = Path(upload.filename or "").suffix.lower()
            if suffix not in IMAGE_SUFFIXES | VIDEO_SUFFIXES:
                known = ", ".join(sorted(IMAGE_SUFFIXES | VIDEO_SUFFIXES))
                raise HTTPException(415, f"neither image nor video; its name should end in {known}")
            path = folder / f"{number:04d}{suffix}"
            path.write_bytes(await upload.read())
            files[path] = upload.filename
    finally:
        await form.close()
    if not files:
        raise HTTPException(400, "no file arrived")
    return files


def _judged(model: Model, uploads: Mapping[Path, str]) -> dict[str, Any]:
    """What the page shows: every face of one picture, or the one of a clip with its curve over the frames.

    Args:
        model: what judges.
        uploads: files -> what the visitor calls them.

    Raises:
        HTTPException: they cannot be judged.
    """
    files = [*uploads]
    videos = [file for file in files if file.suffix in VIDEO_SUFFIXES]
    if videos and len(files) > 1:
        raise HTTPException(422, "several files, and a video among them; give it alone")
    try:
        if len(files) == 1 and not videos:
            return {"faces": [_shown(prediction) for prediction in model.predict(files[0])]}
        frames = read_clip(files, model.description.bit_depth)
        prediction = model.predict_clip(frames)
        curve = model.curve(frames, prediction.face.frame, prediction.face.onset)
    except UserError as error:
        said = str(error)
        for file, name in uploads.items():  # the temporary folder means nothing to the visitor
            said = said.replace(str(file), name)
        raise HTTPException(422, said) from None
    return {
        "faces": [_shown(prediction)],
        "frames": len(frames),
        "curve": [{"frame": one.face.frame, "probabilities": one.probabilities} for one in curve],
    }


def _shown(prediction: Prediction) -> dict[str, Any]:
    face = prediction.face
    return {
        "answer": prediction.answer,
        "probabilities": prediction.probabilities,
        "entropy": prediction.entropy,
        "distance": prediction.distance,
        "notes": prediction.notes,
        "frame": face.frame,
        "onset": face.onset,
        "spotted": face.spotted,
        "found_by": face.step,
        "inside": face.inside,
        "crop": _png(face.crop),
        **_attention(prediction.attention),
    }


def _attention(gate: np.ndarray | None) -> dict[str, Any]:
    """The gate in colours, stretched from its least to its largest value, and these."""
    if gate is None:
        return {"attention": None}
    least, most = float(gate.min()), float(gate.max())
    stretched = np.uint8(255 * (gate - least) / max(most - least, 1e-6))
    colors = cv2.cvtColor(cv2.applyColorMap(stretched, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)
    return {"attention": _png(colors), "gate": [least, most]}


def _png(pixels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _page(model: Model) -> str:
    environment = Environment(
        loader=PackageLoader("mer_core.inference", ""), autoescape=True, undefined=StrictUndefined
    )
    description = model.description
    return environment.get_template("server.html.j2").render(
        name=description.variant["name"],
        classes=description.classes,
        simulated=description.simulated,
        scores=description.scores,
        shared=description.shared,
        between=between,
        motion=model.input is not None,
        sees="a picture of a face, of a clip the apex"
        if model.input is None
        else f"the input {model.input.kind} of a clip",
        threshold=description.likeness.threshold,
        suffixes=",".join(sorted(IMAGE_SUFFIXES | VIDEO_SUFFIXES)),
    )


def _headers(html: str) -> dict[str, str]:
    """The page may run and show what it holds itself, and speak to nobody else."""
    script, style = (
        base64.b64encode(
            hashlib.sha256(html.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0].encode()).digest()
        ).decode()
        for tag in ("script", "style")
    )
    policy = (
        f"default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; img-src data: blob:; "
        "media-src blob: mediastream:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
        "Permissions-Policy": "camera=(self)",
    }
