"""Runs a pipeline for many callers: jobs on the disk, a fair queue, one worker a device, several models."""
