"""What the API's description says once for all routes."""

from typing import Any, Final

Document = dict[str, Any]
SPECIFICATION: Final = "Of the specification; PAC's answers have more fields beside these"
DESCRIPTION: Final = """\
JSON in, JSON out. Fields are added, never renamed or removed: ignore those you do not know. A body with a field that \
PAC does not know is refused. Times are RFC 3339 in UTC.

**Who is calling.** An API key (`Authorization: Bearer pac_…`), or a session of the operator's Supabase project, as \
Bearer or in its cookie. Scopes: `deploy` includes `read`; `admin` is for apps and keys. A session has the scopes of \
its role in the account; `PAC-Account` names the account where a user has several. What belongs to another account \
and what does not exist get the same 404.

**Errors** are `{"error": "<sentence>", "code": "<stable>", "request_id": …, "hint": …}` with further fields by code, \
or the same as RFC 9457 with `Accept: application/problem+json`. The sentence is the status line's reason phrase, too. \
Retry what is answered with `Retry-After`, after that many seconds.

**Sent again.** A POST with an `Idempotency-Key` is done once, however often it is sent within a day; the first \
answer comes again. A failed connection is no reason to guess: repeat with the same key.

**How much.** `RateLimit` and `RateLimit-Policy` say what is left; above it 429 `throttled`.

**Every request has an id**, in `X-Request-Id` of the answer; one that you send (8 to 64 characters of \
`A-Za-z0-9._-`) is kept."""
SECURITY: Final[Document] = {
    "api_key": {"type": "http", "scheme": "bearer", "bearerFormat": "pac_…", "description": "Of one account."},
    "session_token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A Supabase access token.",
    },
    "session_cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": "sb-xxx-auth-token",
        "description": "The cookie of Supabase's libraries, whole or in chunks `.0 .1 …`; xxx is the project.",
    },
    "admin_key": {"type": "http", "scheme": "bearer", "description": "The operator's."},
}
TEXT: Final[Document] = {"type": "string"}
HEADERS: Final[Document] = {
    "X-Request-Id": {"required": True, "description": "For the operator, to find this request.", "schema": TEXT},
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}},
    "WWW-Authenticate": {"required": True, "description": "Bearer.", "schema": TEXT},
    "ETag": {"description": "The version of what is shown.", "schema": TEXT},
    "Age": {
        "description": "Seconds since this answer was given first; absent when it is new.",
        "schema": {"type": "integer"},
    },
    "RateLimit-Policy": {"description": "How many requests in how many seconds: `q`, `w`.", "schema": TEXT},
    "RateLimit": {"description": "What is left of it, and in how many seconds it is whole: `r`, `t`.", "schema": TEXT},
    "Idempotent-Replayed": {
        "description": "The first answer to this Idempotency-Key, once more.",
        "schema": {"type": "string", "const": "true"},
    },
    "Location": {"required": True, "description": "Where it is.", "schema": {"type": "string", "format": "uri"}},
}
STATUSES: Final[dict[int, str]] = {
    200: "As asked.",
    201: "Made.",
    202: "Accepted; it goes on by itself.",
    204: "Nothing more follows.",
    302: "It is elsewhere.",
    304: "Not changed since the version of If-None-Match.",
}
