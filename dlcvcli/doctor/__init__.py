"""What this machine and this installation can do, and how to mend what they cannot."""
