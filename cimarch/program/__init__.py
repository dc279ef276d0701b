"""Placement -> Program: the task table of a run, and what each task is charged."""
