"""Coding as an HTTP service: one model, many clients; no pages and no store."""

from icdcli.extras import require_extra

require_extra("serve", "the service", ("fastapi", "uvicorn", "prometheus_client"))
