"""Which words of prompts a model obeys, told by measures of its images; no model judges them."""
