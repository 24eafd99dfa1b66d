# Two runs at once: each takes a name of its own.
pellucid generate "a star" --seed 1 & pellucid generate "a star" --seed 2 & wait
