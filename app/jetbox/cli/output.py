"""Lines for standard output and error, written by a thread: a slow reader never stalls the loop."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable


class LineOut:
    """Writes bytes to a descriptor in order; a reader that went away is noticed, not raised."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.failure: OSError | None = None
        """Set once nobody reads any more, or the disk behind it is full."""
        self.on_failure: Callable[[OSError], None] | None = None
        """Called then, in the writing thread."""

    def put(self, data: bytes) -> None:
        """Write in the background."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="output", daemon=True)
            self._thread.start()
        self._queue.put(data)

    def close(self) -> None:
        """Return when all is written, or nobody reads."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()

    def _run(self) -> None:
        while True:
            data = self._queue.get()
            if data is None:
                return
            try:
                while data and self.failure is None:
                    data = data[os.write(self._descriptor, data) :]
            except OSError as error:
                self.failure = error
                if self.on_failure is not None:
                    self.on_failure(error)
