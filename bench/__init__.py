"""Speed, measured: `python -m bench` runs everything and sets each figure beside its bound, peer and target."""
