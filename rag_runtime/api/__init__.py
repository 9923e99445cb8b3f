"""The runtime over HTTP: requests to domain values, and back."""
