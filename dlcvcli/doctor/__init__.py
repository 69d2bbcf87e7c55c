"""Examine the machine and the installation, and report how to fix what does not work."""
