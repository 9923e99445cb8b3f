"""Tests, and the real Kubernetes they run against (`python -m tests.cluster`)."""
