"""What a developer's machine needs: setting up, running everything, checking everything. Never deployed."""
