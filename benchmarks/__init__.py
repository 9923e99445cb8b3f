"""Measurements that stay in the repository, each a command of its own."""
