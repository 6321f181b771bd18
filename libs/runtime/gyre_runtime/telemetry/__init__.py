"""Logs, traces and metrics of a process, and the names they share."""

from gyre_runtime.telemetry.logs import logger
from gyre_runtime.telemetry.metrics import counter, gauge, histogram
from gyre_runtime.telemetry.setup import Telemetry
from gyre_runtime.telemetry.traces import current_traceparent, tracer

__all__ = ["Telemetry", "counter", "current_traceparent", "gauge", "histogram", "logger", "tracer"]
