"""The embedded model: weights, model card, licences."""
