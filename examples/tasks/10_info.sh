# What this machine computes with.
pellucid info
