"""Processes are killed during real calls; the calls go on."""
