"""Image maths on straight-alpha RGBA; no models."""
