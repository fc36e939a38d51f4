"""Log lines: static text, then the fields of the record as key=value."""

import logging

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class FieldFormatter(logging.Formatter):
    """Appends what was given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        fields = {k: v for k, v in vars(record).items() if k not in _STANDARD}
        line = super().format(record)
        return line + "".join(f" {key}={value!r}" for key, value in fields.items())


def configure_logs(level: str) -> None:
    """Log to standard error from `level` on; libraries speak up only for warnings."""
    handler = logging.StreamHandler()
    handler.setFormatter(FieldFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("actor_server").setLevel(level.upper())
    logging.getLogger("proto").setLevel(level.upper())
