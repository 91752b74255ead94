"""Raw figures in, one validated panel out."""
