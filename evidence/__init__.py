"""What happened: append, verify, prove, export. An auditor needs this room and little else."""
