"""Asking several parts of the outside at once how they are, and waiting only so long for all of them together."""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import gevent

__all__ = ["Inquiry"]

log = logging.getLogger(__name__)
Answer = TypeVar("Answer")


class Inquiry(Generic[Answer]):
    """Questions by the name of the part they go to. At most one to each is under way: a part that hangs gets no second.

    Every question has to end by itself at some time. Whoever asks meanwhile waits for the same answer; an answer that
    comes when nobody waits is nobody's: it would be told as news to whoever comes next, however late that is.
    """

    def __init__(self, questions: Mapping[str, Callable[[], Answer]]):
        self._questions = questions
        self._asking: dict[str, Any] = {}  # greenlets; one for each question at most

    def ask(self, seconds: float) -> dict[str, Answer | None]:
        """Return what each part answers within so many seconds; None: nothing, or an error. Any number may ask."""
        asking = {name: self._under_way(name) for name in self._questions}
        gevent.joinall(list(asking.values()), timeout=seconds)
        return {name: question.value for name, question in asking.items()}

    def _under_way(self, name: str) -> Any:
        if name not in self._asking:
            self._asking[name] = gevent.spawn(self._asked, name)
        return self._asking[name]

    def _asked(self, name: str) -> Answer | None:
        try:
            return self._questions[name]()
        except Exception as error:  # noqa: BLE001 (whatever is the matter there, the others have their answers)
            reason = str(error).partition("\n")[0] or error.__class__.__name__
            log.warning("%s does not say how it is: %s", name, reason)
            return None
        finally:
            del self._asking[name]
