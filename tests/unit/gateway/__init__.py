"""Tests of the gateway without any service."""
