"""Serve the page of a store: python serving.py --store FILE --port PORT."""

import argparse

import uvicorn

from icdcli.review.store import open_store
from icdcli.review_page.app import create_review_app
from icdcli.review_page.settings import PageSettings

parser = argparse.ArgumentParser()
parser.add_argument("--store", required=True)
parser.add_argument("--port", type=int, required=True)
given = parser.parse_args()
with open_store(given.store, create=False) as store:
    app = create_review_app(store, PageSettings(local_name="local"))
    uvicorn.run(app, host="127.0.0.1", port=given.port, proxy_headers=False, log_level="warning")
