"""Tables, figures and the list of results: renders, computes nothing."""
