"""Things that no set of emoji has as true alpha (smoke, fog, fire, glow, glass), rendered by program."""
