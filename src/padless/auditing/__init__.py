"""Audits: whether padding changes the answers of a model, where it gets in, and why."""

from padless.auditing.findings import Finding as Finding
from padless.auditing.findings import Probe as Probe
from padless.auditing.report import AuditReport as AuditReport
from padless.auditing.running import audit as audit
