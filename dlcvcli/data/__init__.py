"""Data: what a folder holds, how it is read, and how made sets are drawn."""
