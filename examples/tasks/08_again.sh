# An image made again from its own metadata: the same to the byte, and then with another seed.
pellucid generate "a red apple" --seed 7 -o apple.png
pellucid again apple.png -o same.png
pellucid again apple.png --seed 8 -o other.png
