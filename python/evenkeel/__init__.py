"""Evenkeel: features that are one number, online and offline, to the last bit.

``evenkeel.open(dir)`` opens a project in this process, ``evenkeel.connect(url)`` speaks with a
server; both take and give data frames.
"""

from __future__ import annotations

from ._client import Client, connect
from ._errors import (
    BusyError,
    DeadlineError,
    DefinitionError,
    Error,
    InvalidError,
    NotFoundError,
    OverloadedError,
    StorageError,
    UnauthorizedError,
    UnavailableError,
    VerificationError,
)
from ._evenkeel import __version__
from ._reports import (
    Change,
    CorrectionReport,
    DeadLetter,
    Explanation,
    FeatureReport,
    IngestReport,
    LabelReport,
    Mismatch,
    Plan,
    ServiceStatus,
    SourceStatus,
    Status,
    Step,
    VerifyReport,
    ViewEffect,
    ViewStatus,
)
from ._results import Answers, Frame, Segment, TrainingSet
from ._store import Store, open
from ._triggers import Triggered

__all__ = [
    "Answers",
    "BusyError",
    "Change",
    "Client",
    "CorrectionReport",
    "DeadLetter",
    "DeadlineError",
    "DefinitionError",
    "Error",
    "Explanation",
    "FeatureReport",
    "Frame",
    "IngestReport",
    "InvalidError",
    "LabelReport",
    "Mismatch",
    "NotFoundError",
    "OverloadedError",
    "Plan",
    "Segment",
    "ServiceStatus",
    "SourceStatus",
    "Status",
    "Step",
    "StorageError",
    "Store",
    "TrainingSet",
    "Triggered",
    "UnauthorizedError",
    "UnavailableError",
    "VerificationError",
    "VerifyReport",
    "ViewEffect",
    "ViewStatus",
    "__version__",
    "connect",
    "open",
]
