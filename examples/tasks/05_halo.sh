# The white halo of a cut-out removed; the command says what it did.
pellucid generate "a cat" --seed 3 -o cat.png
pellucid composite cat.png --background "#ffffff" -o white.png
pellucid clean white.png --background "#ffffff" -o clean.png
