"""Acting inside the model: replace activations, steer, attribute, read a prompt."""
