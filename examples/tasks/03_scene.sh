# A PSD with four things on a photograph, each a layer. The photograph here is a background that the model makes.
pellucid layers --foreground "a boat" --background "a lake" --size 384x256 --seed 4 -o lake.psd
pellucid layers lake.psd -o lake/
pellucid layers --on lake/background.png --foreground "a house" --foreground "a dog" --foreground "a red ball" --foreground "a bird" --box 120x120+20+100 --box 80x80+200+150 --box 40x40+290+190 --box 60x60+280+20 --seed 4 -o scene.psd
pellucid show scene.psd
