# One's own foreground on one's own background, with matching light and a soft shadow, as layers.
pellucid generate "a dog" --seed 3 --size 200x200 -o dog.png
pellucid layers --foreground "a boat" --background "a sunset" --size 384x256 --seed 6 -o sunset.psd
pellucid layers sunset.psd -o sunset/
pellucid harmonize dog.png sunset/background.png --at 90,50 -o together.psd
pellucid composite together.psd -o together.png
