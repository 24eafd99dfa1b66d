# An icon set: twelve icons of 512 px, each trimmed and in the middle with the same margin.
pellucid generate --prompts icons.txt --seed 5 --fit 512x512 --margin 32 -o icons/
