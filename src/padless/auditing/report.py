"""What an audit says: as an object, as text, as a page."""

from __future__ import annotations

import math
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from padless.auditing.comparison import Comparison
from padless.auditing.findings import GRADIENTS, LOSS, Finding, Outcome, Probe
from padless.pictures.drawing import Drawing
from padless.pictures.picture import Picture


class AuditReport:
    """Whether padding changes the answers of a model, where, why, and by how much.

    Attributes:
        name: of the model.
        source: the file it came from, or "a live model".
        library: Keras or padless, with version and backend.
        rows: lengths of the rows that it was asked about.
        invented: whether these are random numbers, not data of the user.
        probes: what was asked, and how far the answers differed.
        findings: the layers by which padding gets in, gravest first.
        comparison: the same model in padless; None where it is one already, or was not compared.
        drawing: the model, as boxes and arrows, with the place of the loss red.
    """

    def __init__(
        self,
        outcome: Outcome,
        *,
        name: str,
        source: str,
        library: str,
        invented: bool,
        comparison: Comparison | None,
        drawing: Drawing,
    ) -> None:
        self.name, self.source, self.library, self.invented = name, source, library, invented
        self.rows = outcome.batch.rows.lengths
        self.columns = outcome.batch.columns
        self.probabilities = outcome.probabilities
        self.probes: list[Probe] = outcome.probes
        self.findings: list[Finding] = outcome.findings
        self.comparison, self.drawing = comparison, drawing

    @property
    def ok(self) -> bool:
        """Whether padding changes no answer, no loss and no gradient."""
        return not any(probe.differs and probe.grave for probe in self.probes)

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        from padless.auditing.words import verdict

        return verdict(self)

    @property
    def picture(self) -> Picture:
        """The model, with the place of the loss red; a notebook shows it."""
        return Picture(self.drawing)

    def print(self) -> None:
        """Print the report: in colours on a terminal, as plain text elsewhere."""
        from padless.auditing.text import show

        show(self)

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write the report as a page that needs nothing else.

        Args:
            path: of the file.
        """
        from padless.auditing.page import page

        Path(path).write_text(page(self), encoding="utf-8")

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can hold it; NaN and infinity are the text "NaN".

        Returns:
            A dict.
        """
        compared = self.comparison
        found = {
            "model": self.name,
            "source": self.source,
            "library": self.library,
            "ok": self.ok,
            "verdict": self.verdict,
            "rows": list(self.rows),
            "rows_are_invented": self.invented,
            "probes": [asdict(probe) for probe in self.probes],
            "findings": [{**asdict(one), "difference": one.difference} for one in self.findings],
            "padless": None if compared is None else asdict(compared),
        }
        return dict(_for_json(found))

    def __repr__(self) -> str:
        from padless.auditing.text import plain

        return plain(self)

    def _repr_html_(self) -> str:
        from padless.auditing.page import fragment

        return fragment(self)

    def of(self, name: str) -> Probe | None:
        """A probe.

        Args:
            name: of it.

        Returns:
            The probe, or None where that was not asked.
        """
        return next((probe for probe in self.probes if probe.name == name), None)

    @property
    def training_ok(self) -> bool:
        """Whether padding changes neither loss nor gradients."""
        return not any(probe.differs for probe in self.probes if probe.name in (LOSS, GRADIENTS))


def _for_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _for_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_for_json(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN"
    return value
