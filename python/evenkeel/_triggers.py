"""What became of a trigger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional, Tuple

from ._errors import InvalidError
from ._results import Answers

__all__ = ["Triggered", "asked_of", "level_of", "triggered_of"]


@dataclass(frozen=True)
class Triggered:
    """What became of a trigger's row, and its features."""

    source: str
    """The source."""
    status: str
    """`logged`, `duplicate`, `conflict`, `left_out` or `rejected`."""
    result: Optional[str]
    """The name of the result; none if the row is no event."""
    position: Optional[Tuple[int, int]]
    """Partition and offset of the event."""
    session: str
    """A read with it sees the event."""
    code: Optional[str]
    """Why it was rejected, as a word."""
    reason: Optional[str]
    """Why it was rejected."""
    answers: Optional[Answers]
    """The features; none if the row is no event, or they were not there in time."""
    missing: Optional[Dict[str, Any]] = None
    """The watermark that was waited for in vain: `source`, `wanted` and `reached`."""

    @property
    def duplicate(self) -> bool:
        """Whether it was logged before: the features are those of the first time."""
        return self.status == "duplicate"

    @property
    def features(self) -> Dict[str, Any]:
        """The values by name."""
        if self.answers is None:
            hint = None if self.result is None else f"ask for it: `result({self.result!r})`"
            raise InvalidError(f"the row is `{self.status}`, and has no features", hint=hint)
        return self.answers.values.to_pylist()[0]


def asked_of(service: Optional[str], view: Optional[str]) -> Tuple[str, str]:
    """What is asked of a trigger: its kind and name."""
    if service is not None and view is None:
        return ("service", service)
    if view is not None and service is None:
        return ("view", view)
    raise InvalidError("give `service` or `view`: one of them")


def triggered_of(head: Mapping[str, Any], answers: Optional[Answers]) -> Triggered:
    """A trigger of what is said of it."""
    at = head.get("partition"), head.get("offset")
    return Triggered(
        source=head["source"],
        status=head["status"],
        result=head["result"],
        position=None if None in at else at,
        session=head["session"],
        code=head.get("code"),
        reason=head.get("reason"),
        answers=answers,
        missing=head.get("missing"),
    )


def level_of(consistency: Optional[str]) -> Any:
    """A level of a trigger as a request says it: `complete:limits,taps` names sources."""
    if consistency is None or not consistency.startswith("complete:"):
        return consistency
    return {"complete": consistency[len("complete:") :].split(",")}
