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

    Every question has to end by itself at some time; its answer, if it comes late, is the next one's.
    """

    def __init__(self, questions: Mapping[str, Callable[[], Answer]]):
        self._questions = questions
        self._asking: dict[str, Any] = {}  # greenlets

    def ask(self, seconds: float) -> dict[str, Answer | None]:
        """Return what each part answers within so many seconds; None: nothing, or an error."""
        for name, question in self._questions.items():
            if name not in self._asking:
                self._asking[name] = gevent.spawn(_asked, name, question)
        gevent.joinall(list(self._asking.values()), timeout=seconds)
        return {name: self._answer(name) for name in self._questions}

    def _answer(self, name: str) -> Answer | None:
        asking = self._asking.get(name)
        if asking is None or not asking.ready():
            return None
        self._asking.pop(name, None)
        answer: Answer | None = asking.value
        return answer


def _asked(name: str, question: Callable[[], Answer]) -> Answer | None:
    try:
        return question()
    except Exception as error:  # noqa: BLE001 (whatever is the matter there, the others have their answers)
        log.warning("%s does not say how it is: %s", name, str(error).partition("\n")[0] or error.__class__.__name__)
        return None
