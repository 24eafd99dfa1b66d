"""Neural networks: the offset encoder, the alpha decoder and what surrounds them."""
