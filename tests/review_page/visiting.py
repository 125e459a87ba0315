"""A browser without a window, which keeps cookies and the token of the page."""

import re
from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient

from icdcli.review.store import Store
from icdcli.review_page.app import create_review_app
from icdcli.review_page.settings import PageSettings


class PageVisitor:
    """A person's browser at a page."""

    def __init__(self, app: FastAPI, base: str = "http://localhost") -> None:
        self.client = TestClient(app, base_url=base, follow_redirects=False)
        self.csrf = ""

    def open(self, path: str = "/") -> Any:
        """Open a page, and take its token."""
        response = self.client.get(path)
        if found := re.search('csrf-token" content="([0-9a-f]*)"', response.text):
            self.csrf = found[1]
        return response

    def get(self, path: str) -> Any:
        return self.client.get(path)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.client.post(
            path, json=body or {}, headers={"X-CSRF-Token": self.csrf, **headers}
        )

    def decide(self, note: int, *drafts: tuple[str, dict], reading: int = 1, seen: int = 0) -> Any:
        """Send decisions on a note."""
        decisions = [{"kind": kind, "details": details} for kind, details in drafts]
        body = {"seen": seen, "suggestion_set": None, "decisions": decisions}
        return self.post(f"/api/notes/{note}/{reading}/decisions", body)

    def sign_in(self, name: str, password: str, **fields: str) -> Any:
        """Sign in by the form, and take the token of the page behind it."""
        self.open("/login")
        form = {"name": name, "password": password, "csrf_token": self.csrf, **fields}
        response = self.client.post("/login", data=form)
        if response.status_code == 303:
            self.open()
        return response


def visitor_of(store: Store, settings: PageSettings | None = None) -> PageVisitor:
    """Return a visitor who has opened the queue of a store's page."""
    visitor = PageVisitor(create_review_app(store, settings))
    visitor.open()
    return visitor
