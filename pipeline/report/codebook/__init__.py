"""The data as others use them: codebook, Stata files, and the schema of every CSV."""
