# A sprite sheet with its atlas for a game engine, of even cells and a power of two.
pellucid generate --prompts icons.txt --seed 5 --trim -o sprites/
pellucid sheet sprites/ -o sprites.png --columns 4 --cell 124x124 --padding 2 --power-of-two
