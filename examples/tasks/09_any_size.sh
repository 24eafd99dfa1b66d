# A picture of one's own of any size repainted: all of it, and inside a mask. Outside the mask nothing changes.
pellucid generate "a red apple" --seed 1 --size 777x333 -o own.png
pellucid vary own.png "a green apple" --seed 1 -o green.png
pellucid inpaint own.png mask.png "a hat" --seed 1 -o hat.png
