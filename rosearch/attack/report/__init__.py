"""What an attack found."""
