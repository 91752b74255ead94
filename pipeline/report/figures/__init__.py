"""One module a figure: draws what the tidy files hold."""
