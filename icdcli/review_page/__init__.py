"""The review page: reviewers decide on the suggestions of a model in a browser."""

from icdcli.extras import require_extra

require_extra("serve", "the review page", ("fastapi", "jinja2", "python_multipart", "uvicorn"))
