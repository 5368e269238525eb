"""msae: Matryoshka sparse autoencoders on language-model activations."""
