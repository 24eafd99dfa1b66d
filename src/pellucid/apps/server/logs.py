"""The log of a server: a line of JSON a record."""

import json
import logging


class JsonLines(logging.Formatter):
    """Formats a log record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line."""
        facts = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"), "level": record.levelname.lower(),
            "logger": record.name, "message": record.getMessage(), **getattr(record, "facts", {}),
        }  # fmt: skip
        if record.exc_info:
            facts["exception"] = self.formatException(record.exc_info)
        return json.dumps(facts, ensure_ascii=False)


def write_logs(*, as_text: bool) -> None:
    """Makes this process log to stderr: a line of JSON a record, or plain text."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        logging.Formatter("%(asctime)s %(levelname)s %(message)s %(facts)s", defaults={"facts": ""})
        if as_text
        else JsonLines()
    )
    for name in ("pellucid", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO if name == "pellucid" else logging.WARNING)
        logger.propagate = False
