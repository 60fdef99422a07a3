"""Find or create a container run, stop it, remove it: async, for worker and triggerer alike."""
