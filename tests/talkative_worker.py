"""A worker process of the course site that says all it can: every log line, to its own output.

``python -m tests.talkative_worker`` with the environment of ``flask commweb worker``.
"""

from __future__ import annotations

import logging

from app import create_app
from commweb.state import state_of
from commweb.sync.consumer import consume
from tests.unit.doors.listening import CHATTY

if __name__ == "__main__":
    logging.basicConfig(level=logging.DEBUG)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.DEBUG)
    app = create_app({"SQLALCHEMY_ECHO": "debug"})
    with app.app_context():
        consume(state_of(app), 2)
