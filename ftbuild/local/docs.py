"""`/docs`: every route, with its parameters and a form to try it, in one page that needs nothing from anywhere else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fastapi.responses import HTMLResponse

if TYPE_CHECKING:
    from fastapi import FastAPI

_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'"


def with_docs(app: FastAPI) -> None:
    """Add the page to an application.  It draws itself from `/openapi.json`."""
    page = (Path(__file__).parent / "docs.html").read_text(encoding="utf-8")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(page, headers={"content-security-policy": _POLICY})
