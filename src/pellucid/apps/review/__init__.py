"""The screening page's server. `static/` is built from `web/review` (docs/decisions/013-front-end.md)."""
