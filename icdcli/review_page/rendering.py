"""Pages from templates, in the language of the browser, and the files that they load."""

import hashlib
import json
import mimetypes
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

LANGUAGES = ("en", "ko", "es")
LANGUAGE_COOKIE = "language"  # which the page's script sets

_FOLDER = Path(__file__).parent
_DIGITS = 16
_FOREVER = "public, max-age=31536000, immutable"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".json": "application/json"}


class PageRenderer:
    """The templates, the messages in each language, and the static files.

    A static file has an address with the hash of all of them, so that browsers keep it and a new
    version is loaded at once. Relative imports between scripts work, since the hash is a folder.
    """

    def __init__(self, reload_files: bool = False) -> None:
        """Open the files of the page.

        Args:
            reload_files: Read them anew for each request.
        """
        self._reload = reload_files
        self._environment = Environment(
            loader=FileSystemLoader(_FOLDER / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=reload_files,
        )

    def page(
        self, request: Request, name: str, status: int = 200, /, **values: Any
    ) -> HTMLResponse:
        """Return the page of a template.

        Args:
            request: The request, which has the language.
            name: The template.
            status: The status of the response.
            values: What the template needs besides what each one has.
        """
        language = language_of(request)
        content = self._environment.get_template(name).render(
            {
                "language": language,
                "words": {**self.messages["en"], **self.messages[language]},
                "static": f"/static/{self.hash}",
                "status": status,
                **values,
            }
        )
        return HTMLResponse(content, status)

    def file(self, hash: str, name: str) -> Response | None:
        """Return a static file; None: there is none, or it is of another version."""
        files = self._read_files() if self._reload else self._files
        if hash != self.hash or name not in files:
            return None
        kind = _TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0]
        lasting = "no-store" if self._reload else _FOREVER
        return Response(files[name], media_type=kind, headers={"Cache-Control": lasting})

    @property
    def hash(self) -> str:
        """Return the hash in the addresses of static files."""
        return "reloaded" if self._reload else self._hash

    @property
    def messages(self) -> Mapping[str, Mapping[str, str]]:
        """Return language to key to message."""
        return self._read_messages() if self._reload else self._messages

    @cached_property
    def _files(self) -> dict[str, bytes]:
        return self._read_files()

    @cached_property
    def _hash(self) -> str:
        digest = hashlib.sha256()
        for name, content in sorted(self._files.items()):
            digest.update(f"{name}\n{len(content)}\n".encode() + content)
        return digest.hexdigest()[:_DIGITS]

    @cached_property
    def _messages(self) -> dict[str, dict[str, str]]:
        return self._read_messages()

    def _read_files(self) -> dict[str, bytes]:
        found = {}
        for folder, before in (("static", ""), ("messages", "messages/")):
            for path in sorted((_FOLDER / folder).rglob("*")):
                if path.is_file() and path.suffix != ".py":
                    name = before + path.relative_to(_FOLDER / folder).as_posix()
                    found[name] = path.read_bytes()
        return found

    def _read_messages(self) -> dict[str, dict[str, str]]:
        return {
            language: json.loads((_FOLDER / "messages" / f"{language}.json").read_bytes())
            for language in LANGUAGES
        }


def language_of(request: Request) -> str:
    """Return the language of a request: as requested, as chosen before, or the browser's."""
    for chosen in (request.query_params.get("lang"), request.cookies.get(LANGUAGE_COOKIE)):
        if chosen in LANGUAGES:
            return str(chosen)
    accepted = []
    for place, part in enumerate(request.headers.get("accept-language", "").split(",")):
        name, _, quality = part.partition(";q=")
        language = name.strip().lower().partition("-")[0]
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            continue
        if language in LANGUAGES and weight > 0:
            accepted.append((-weight, place, language))
    return min(accepted)[2] if accepted else LANGUAGES[0]


def keep_cookie(
    response: Response,
    request: Request,
    name: str,
    value: str,
    *,
    days: float,
) -> None:
    """Set a cookie: for this site alone, not for scripts, and behind https only there."""
    response.set_cookie(
        name,
        value,
        max_age=int(days * 86400),
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
