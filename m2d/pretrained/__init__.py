"""Pre-trained models for users: the model with its front end, its files, features in bulk, exports."""
