"""What a user loads and gives away: the model behind its front end, its files, its features in bulk, exports."""
