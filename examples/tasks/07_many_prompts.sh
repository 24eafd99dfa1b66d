# Fifty prompts from a file. The second command goes on where the first was stopped, and makes nothing twice.
pellucid generate --prompts fifty.txt --seed 1 -o fifty/
pellucid generate --prompts fifty.txt --seed 1 -o fifty/ --skip-existing
