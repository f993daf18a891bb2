"""The routes of the protocol, a module for each of its objects: `routes(hub)` returns a router."""

from ftbuild.local.routes import answers, batches, files, jobs, models

ROUTERS = (files.routes, jobs.routes, models.routes, answers.routes, batches.routes)
