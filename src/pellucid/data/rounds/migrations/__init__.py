"""Steps from one schema of the rounds' store to the next; `database.open_store` runs them."""
