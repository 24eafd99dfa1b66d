# One layer of a document replaced; all others keep every byte.
pellucid layers --foreground "a cat" --foreground "a red ball" --background "a beach" --seed 2 -o beach.psd
pellucid generate "a pumpkin" --seed 2 --trim -o pumpkin.png
pellucid layers beach.psd --replace "a red ball" pumpkin.png --rename "a red ball" "a pumpkin" -o pumpkin.psd
