"""Arithmetic on flat memory, in Cython. I do not know what a policy is."""
